//! A process that is killed while it writes loses no acknowledged write. Run it with `cargo run -p
//! kv-store --example crash_recovery`.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::{
    env,
    error::Error,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(directory) = env::args_os().nth(1) {
        return write_for_ever(&PathBuf::from(directory));
    }
    let directory = env::temp_dir().join(format!("kv-crash-recovery-{}", std::process::id()));
    let mut child = Command::new(env::current_exe()?).arg(&directory).stdout(Stdio::piped()).spawn()?;
    let acknowledged = BufReader::new(child.stdout.take().ok_or("the child has no output")?).lines().nth(499);
    child.kill()?; // SIGKILL, while it writes
    child.wait()?;
    let acknowledged: u64 = acknowledged.ok_or("the child ended early")??.parse()?;

    let store = kv_store::open(&directory)?; // recovers automatically
    println!("{}", store.recovery());
    let numbers = store.collection("numbers")?;
    for number in 0..=acknowledged {
        assert!(numbers.contains(number.to_be_bytes())?, "{number} was acknowledged");
    }
    println!("all {} acknowledged writes are there; in all there are {}", acknowledged + 1, numbers.len()?);
    Ok(store.close()?)
}

fn write_for_ever(directory: &Path) -> Result<(), Box<dyn Error>> {
    let numbers = kv_store::open(directory)?.collection("numbers")?;
    let mut out = std::io::stdout();
    for number in 0_u64.. {
        numbers.put(number.to_be_bytes(), "written")?; // on disk when this returns
        writeln!(out, "{number}")?;
        out.flush()?;
    }
    Ok(())
}
