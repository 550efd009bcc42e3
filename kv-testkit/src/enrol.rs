/// Makes a module with one `#[test]` for each case of a suite. The suites' own macros call it.
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
