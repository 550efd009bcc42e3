use insta::assert_snapshot;

use crate::kv::Kv;

#[test]
fn help_of_the_command() {
    let kv = Kv::new();
    let help = kv.ok(&["--help"]);
    assert_eq!(kv.ok(&["-h"]), help);
    assert_eq!(kv.run(&[]).err, help, "no arguments print the help too");
    assert_snapshot!(help);
}

#[test]
fn help_of_each_subcommand() {
    let kv = Kv::new();
    let commands = ["put", "get", "delete", "list", "import", "export", "checkpoint", "verify", "stats", "demo"];
    let help: Vec<String> = commands.iter().map(|command| kv.ok(&[command, "--help"])).collect();
    assert_snapshot!(help.join(&format!("\n{}\n\n", "-".repeat(80))));
}

#[test]
fn version() {
    assert_eq!(Kv::new().ok(&["--version"]), concat!("kv ", env!("CARGO_PKG_VERSION"), "\n"));
}
