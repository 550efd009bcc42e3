//! The log on the operating system's files, and on disks that fail.

mod basics;
mod calls;
mod damage;
mod faults;
mod golden;
mod memory;
mod model;
mod power;
mod support;
