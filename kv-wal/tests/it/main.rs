//! The log on the operating system's files.

mod basics;
mod support;
