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
    let help = kv.ok(&["--help"]);
    let commands: Vec<&str> = commands(&help).collect();
    assert!(commands.contains(&"put") && commands.len() >= 10, "{commands:?}");
    let help: Vec<String> = commands.iter().map(|command| kv.ok(&[command, "--help"])).collect();
    assert_snapshot!(help.join(&format!("\n{}\n\n", "-".repeat(80))));
}

/// The commands that the help lists, without `help` itself.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split_once("  ").map(|(name, _)| name));
    names.filter(|name| !name.is_empty() && *name != "help")
}

#[test]
fn version() {
    assert_eq!(Kv::new().ok(&["--version"]), concat!("kv ", env!("CARGO_PKG_VERSION"), "\n"));
}
