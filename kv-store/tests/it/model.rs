//! The store behaves like the model, on files.

use std::path::PathBuf;

use kv_store::{Result, Store};
use kv_testkit::store::{Seed, StoreHarness, compare_with_model, steps};
use proptest::{collection::vec, prelude::*};

use crate::support::{copy, small};

struct Files {
    parent: tempfile::TempDir,
    kills: u32,
}

impl Files {
    fn new() -> Self {
        Self { parent: tempfile::tempdir().unwrap(), kills: 0 }
    }

    fn path(&self) -> PathBuf {
        self.parent.path().join(self.kills.to_string())
    }
}

impl StoreHarness for Files {
    fn open(&mut self) -> Result<Store> {
        small().open(self.path())
    }

    fn kill(&mut self) {
        let before = self.path();
        self.kills += 1;
        copy(&before, &self.path());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_store_behaves_like_the_model(seeds in vec(any::<Seed>(), 1..150)) {
        compare_with_model(&mut Files::new(), &steps(&seeds));
    }
}
