use crate::kv::Kv;

#[test]
fn completions_for_each_shell() {
    let kv = Kv::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = kv.ok(&["completions", shell]);
        assert!(script.contains("import") && script.contains("row-numbers"), "{shell}");
        assert!(!script.contains("demo-writer"), "hidden commands are not completed");
    }
    assert_eq!(kv.run(&["completions", "cmd"]).code, 2);
    assert!(!kv.store().exists());
}

#[test]
fn the_script_for_bash_completes_commands() {
    let kv = Kv::new();
    kv.file("kv.bash", kv.ok(&["completions", "bash"]));
    let script = "source ./kv.bash; COMP_WORDS=(kv ex); COMP_CWORD=1; _kv kv ex kv; echo ${COMPREPLY[@]}";
    let Ok(output) = std::process::Command::new("bash").args(["-c", script]).current_dir(kv.path(".")).output() else {
        return; // there is no bash
    };
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "export\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn manual_pages() {
    let kv = Kv::new();
    let page = kv.ok(&["man"]);
    assert!(page.contains(".TH kv 1") && page.contains("kv\\-import(1)") && page.contains("Exit codes"), "{page}");
    let page = kv.ok(&["man", "import"]);
    assert!(page.contains(".TH kv-import 1") && page.contains("row\\-numbers"), "{page}");
    kv.fails(1, &["man", "nonsense"]);
}
