//! Checkpoints and tables on real files, with faults and damage.

mod damage;
mod faults;
mod golden;
mod model;
mod support;
mod table;
mod upkeep;
mod vfs;
