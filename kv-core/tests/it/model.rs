//! The store behaves as the model does, over the backends in memory.

use kv_core::{Crash, Result, Store};
use kv_testkit::store::{Seed, StoreHarness, compare_with_model, steps};
use proptest::{collection::vec, prelude::*};

use crate::support::Media;

impl StoreHarness for Media {
    fn open(&mut self) -> Result<Store> {
        Media::open(self)
    }

    fn kill(&mut self) {
        *self = self.after(Crash::Killed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_store_does_what_the_model_does(seeds in vec(any::<Seed>(), 1..150)) {
        compare_with_model(&mut Media::default(), &steps(&seeds));
    }
}
