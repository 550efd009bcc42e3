//! Crashing the engine.

use crate::{Result, real};

pub fn run(arguments: &[&str]) -> Result {
    match arguments {
        ["--real", rest @ ..] => real::run(rest),
        _ => Err("usage: cargo xtask crash --real [--every N] [--seed S]".to_owned()),
    }
}
