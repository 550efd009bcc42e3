//! The commands of docs/guide.md, in their order, with what they print.

use std::process::{Command, Stdio};

use crate::kv::Kv;

/// A block of the guide: its language, its line and its content.
struct Block<'g> {
    language: &'g str,
    line: usize,
    content: String,
}

fn blocks(guide: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = guide.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let content = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let content = content.map(|line| format!("{line}\n")).collect();
        blocks.push(Block { language, line: number + 1, content });
    }
    blocks
}

/// Runs a block in a shell that finds `kv`, and returns what it prints.
fn run(kv: &Kv, block: &Block<'_>) -> String {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_kv"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &block.content]).current_dir(kv.path(".")).env("PATH", path).env_remove("KV_DIR");
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "line {}: {}: {err}", block.line, output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_command_does_what_the_guide_says() {
    let kv = Kv::new();
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide.md")).unwrap();
    let blocks = blocks(&guide);
    let mut ran = 0;
    for (number, block) in blocks.iter().enumerate() {
        match block.language {
            "sh" => {
                let next = blocks.get(number + 1).filter(|next| next.language == "text");
                let expected = next.map_or("", |next| &next.content);
                // On a terminal a line feed follows a value.
                let printed = run(&kv, block);
                assert_eq!(printed.trim_end_matches('\n'), expected.trim_end_matches('\n'), "line {}", block.line);
                ran += 1;
            }
            "text" => assert_eq!(blocks[number - 1].language, "sh", "line {}: the output of nothing", block.line),
            "console" => {} // what a test must not do
            other => panic!("line {}: a block of {other:?}", block.line),
        }
    }
    assert!(ran >= 10, "only {ran} blocks were run");
}
