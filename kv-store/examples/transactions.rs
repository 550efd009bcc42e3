//! Threads move money concurrently. No money is lost or created. Run it with `cargo run -p kv-store
//! --example transactions`.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::thread;

use kv_store::{Error, Result, Store, Transaction};

/// A caller's own error type passes through a transaction, and the store's errors convert to it.
#[derive(Debug, thiserror::Error)]
enum TransferError {
    #[error("the account of {name} has only {balance}")]
    TooLittle { name: String, balance: u64 },
    #[error(transparent)]
    Store(#[from] Error),
}

fn main() -> Result<(), TransferError> {
    let directory = std::env::temp_dir().join(format!("kv-transactions-{}", std::process::id()));
    let store = kv_store::open(directory)?;
    for name in ["alice", "bob", "carol"] {
        store.collection("accounts")?.put(name, 100_u64.to_le_bytes())?;
    }
    thread::scope(|scope| {
        for (from, to) in [("alice", "bob"), ("bob", "carol"), ("carol", "alice")] {
            let store = &store;
            scope.spawn(move || {
                for amount in 1..50 {
                    if let Err(refused) = transfer(store, from, to, amount) {
                        println!("{from} to {to}: {refused}");
                    }
                }
            });
        }
    });

    let snapshot = store.snapshot(); // it shows one position, as long as it is held
    let mut sum = 0;
    for entry in snapshot.iter("accounts") {
        let entry = entry?;
        println!("{}: {}", String::from_utf8_lossy(&entry.key), number(&entry.value));
        sum += number(&entry.value);
    }
    println!("together {sum}, at position {}", snapshot.position());
    assert_eq!(sum, 300);
    Ok(store.close()?)
}

/// All or nothing: an error leaves no trace.
fn transfer(store: &Store, from: &str, to: &str, amount: u64) -> Result<(), TransferError> {
    store.try_transact(|tx| {
        let balance = balance(tx, from)?;
        if balance < amount {
            return Err(TransferError::TooLittle { name: from.to_owned(), balance });
        }
        tx.put("accounts", from, (balance - amount).to_le_bytes())?;
        let other = self::balance(tx, to)?; // sees what this transaction has written
        tx.put("accounts", to, (other + amount).to_le_bytes())?;
        Ok(())
    })
}

fn balance(tx: &Transaction<'_>, name: &str) -> Result<u64> {
    Ok(tx.get("accounts", name)?.map_or(0, |value| number(&value)))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}
