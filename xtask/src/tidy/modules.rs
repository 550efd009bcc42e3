//! One style of module files.

/// Refuses `mod.rs`: a module that has modules is the file `name.rs` beside the folder `name`.
pub fn check(path: &str) -> Option<(usize, String)> {
    let (folder, _) = path.rsplit_once('/').filter(|(_, name)| *name == "mod.rs")?;
    Some((1, format!("modules are not files named mod.rs here: move it to {folder}.rs")))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_module_is_a_file_beside_its_folder() {
        let (line, message) = check("kv-core/src/store/mod.rs").unwrap();
        assert_eq!((line, message.contains("move it to kv-core/src/store.rs")), (1, true), "{message}");
        for good in ["kv-core/src/store.rs", "kv-core/tests/it/main.rs", "kv-core/src/xmod.rs", "README.md"] {
            assert_eq!(check(good), None, "{good}");
        }
    }
}
