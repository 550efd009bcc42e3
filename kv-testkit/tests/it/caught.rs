use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a case, and asserts that it panics because of a guarantee that is named so.
pub fn assert_caught(guarantee: &str, case: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(case)) else { panic!("the flaw was not found") };
    let message = panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(ToString::to_string));
    let message = message.unwrap_or_default();
    assert!(message.contains(guarantee), "the flaw was found as {message:?}, and not as one of {guarantee:?}");
}

/// Says which cases found the flaw that a test is about: `cargo xtask mutants` lists it.
#[expect(clippy::print_stdout, reason = "how a chore hears of it")]
pub fn say_caught(module: &str, test: &str, cases: &[&str]) {
    let module = module.split_once("::").map_or(module, |(_this_binary, module)| module);
    println!("caught: {module}::{test} by {}", cases.join(", "));
}

/// Makes a test for each flaw: the cases that have to find it, and what they say.
macro_rules! flaws {
    ($run:ident: $($test:ident: $flaw:expr => $($case:ident $guarantee:literal),+;)*) => {
        $(#[test] fn $test() {
            $(crate::caught::assert_caught($guarantee, || $run!($case, $flaw));)+
            crate::caught::say_caught(module_path!(), stringify!($test), &[$(stringify!($case)),+]);
        })*
    };
}
pub(crate) use flaws;
