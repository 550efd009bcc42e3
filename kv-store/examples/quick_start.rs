//! Open, put, get and scan. Run it with `cargo run -p kv-store --example quick_start [DIRECTORY]`.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use kv_store::{Batch, Durability, Result};

fn main() -> Result<()> {
    let store = kv_store::open(directory())?;
    let capitals = store.collection("capitals")?;
    capitals.put("France", "Paris")?; // on disk when this returns
    // With the kernel when this returns.
    capitals.with_durability(Durability::Process).put("Japan", "Tokyo")?;
    // Both or none.
    store.write(Batch::new().put("capitals", "Peru", "Lima").put("rivers", "Peru", "Amazon"))?;

    println!("the capital of Japan is {}", text(&capitals.get("Japan")?.unwrap_or_default()));
    for entry in capitals.range("G"..) {
        let entry = entry?;
        println!("{} has {}", text(&entry.key), text(&entry.value));
    }
    println!("the last is {:?}", capitals.last()?.map(|entry| text(&entry.key).into_owned()));
    for info in store.collections()? {
        println!("{} holds {} entries, {} bytes", info.name, info.entries, info.bytes);
    }
    store.close()
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The first argument, or a new directory for temporary files.
fn directory() -> std::path::PathBuf {
    let fresh = || std::env::temp_dir().join(format!("kv-quick-start-{}", std::process::id()));
    std::env::args_os().nth(1).map_or_else(fresh, Into::into)
}
