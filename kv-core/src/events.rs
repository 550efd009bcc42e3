//! Events for the crate [`tracing`](https://docs.rs/tracing), if the feature of that name is on.

/// Emits an event as `tracing::event!` does, with the name of a level first: `event!(DEBUG, bytes,
/// "written")`. Without the feature `tracing` it compiles to nothing, and its arguments are not
/// evaluated.
#[cfg(feature = "tracing")]
#[doc(hidden)]
#[macro_export]
macro_rules! event {
    ($level:ident, $($event:tt)*) => {
        $crate::tracing::event!($crate::tracing::Level::$level, $($event)*)
    };
}

/// The same without the feature.
#[cfg(not(feature = "tracing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! event {
    ($level:ident, $($event:tt)*) => {};
}
