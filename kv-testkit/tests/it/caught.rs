use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a case, and asserts that it panics with a message that names the guarantee.
pub fn assert_caught(guarantee: &str, case: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(case)) else { panic!("the flaw was not found") };
    let message = panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(ToString::to_string));
    let message = message.unwrap_or_default();
    assert!(
        message.contains(guarantee),
        "the flaw was found with the message {message:?}, which does not contain {guarantee:?}"
    );
}

/// Prints which cases found the flaw of a test, for `cargo xtask mutants`.
#[expect(clippy::print_stdout, reason = "`cargo xtask mutants` reads it")]
pub fn say_caught(module: &str, test: &str, cases: &[&str]) {
    let module = module.split_once("::").map_or(module, |(_this_binary, module)| module);
    println!("caught: {module}::{test} by {}", cases.join(", "));
}

/// Makes a test for each flaw, from the cases that must find it and a part of their messages.
macro_rules! flaws {
    ($run:ident: $($test:ident: $flaw:expr => $($case:ident $guarantee:literal),+;)*) => {
        $(#[test] fn $test() {
            $(crate::caught::assert_caught($guarantee, || $run!($case, $flaw));)+
            crate::caught::say_caught(module_path!(), stringify!($test), &[$(stringify!($case)),+]);
        })*
    };
}
pub(crate) use flaws;
