/// Makes a module with one `#[test]` for each case of a suite. The macros of the suites call it.
#[doc(hidden)]
#[macro_export]
macro_rules! enrol {
    ($module:ident, $make:expr, $suite:ident, [$($case:ident),* $(,)?]) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $case() {
                    $crate::$suite::cases::$case(&mut ($make)());
                }
            )*
        }
    };
}
