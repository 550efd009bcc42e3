//! Backups while a thread writes, and a store that is restored from one. Run it with `cargo run -p
//! kv-store --example backups`.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::{
    env,
    error::Error,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use kv_store::{Collection, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::temp_dir().join(format!("kv-backups-{}", std::process::id()));
    let (data, backups) = (directory.join("data"), directory.join("backups"));
    let store = kv_store::open(&data)?;
    let numbers = store.collection("numbers")?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&done, &numbers));
        let made = (0..3).try_for_each(|_| back_up(&store, &backups));
        done.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| "the writer panicked")??;
        Ok::<_, Box<dyn Error>>(made?)
    })?;

    let newest = &kv_store::backups(&backups)?[0];
    assert!(kv_store::verify(&newest.path)?.damage.is_empty()); // reads every byte of it
    let restored = kv_store::restore(&newest.path, directory.join("restored"))?;
    let restored = kv_store::open(restored.path)?;
    println!("the newest has {} of {} numbers", restored.collection("numbers")?.len()?, numbers.len()?);
    restored.close()?;
    store.close()?;
    Ok(())
}

fn back_up(store: &Store, backups: &Path) -> kv_store::Result<()> {
    let backup = kv_store::backup_to(store, backups)?;
    let (linked, copied) = (backup.linked_bytes >> 10, backup.copied_bytes >> 10);
    println!("{}: {linked} KiB shared, {copied} KiB copied", backup.path.display());
    Ok(())
}

fn write_until(done: &AtomicBool, numbers: &Collection) -> kv_store::Result<()> {
    let mut number = 0_u64;
    while !done.load(Ordering::Relaxed) {
        numbers.put(number.to_be_bytes(), "written")?;
        number += 1;
    }
    Ok(())
}
