//! The log on the operating system's files, and on disks that fail.

mod basics;
mod crash;
mod damage;
mod faults;
mod memory;
mod power;
mod support;
