//! log: a look into the files of the log.

use kv_store::Error;

use crate::{
    env::Env,
    failure::{Context, Failure},
    opening,
};

pub const DUMP_HELP: &str = "\
A line for each segment and for each frame in it: its offset in the file in
bytes, its kind, its position, the position that was durable when it was
written, and the beginning of the record. Last come the two acknowledgement
marks. `kv changes` prints what the records mean.

This takes no lock and changes nothing. It works beside a process that has the
store open, and on a store that does not open. Each segment is printed up to the
first place that is not valid: in the newest one, that is its end.";

#[derive(Debug, clap::Subcommand)]
pub enum Log {
    /// Print the log frame by frame, as it is in its files
    #[command(after_help = DUMP_HELP)]
    Dump,
}

pub fn run(env: &mut Env<'_>, args: &Log) -> Result<(), Failure> {
    let Log::Dump = args;
    match kv_store::dump_log(&env.dir, env.out) {
        Err(error) if opening::is_absence(&error) => Err(opening::absent(env.dir())),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(source))
        }
        dumped => dumped.doing(|| "cannot print the log".into()),
    }
}
