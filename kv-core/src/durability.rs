/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// A killed process. A power cut may take what was written since the last flush.
    Process,
    /// A power cut. The default.
    #[default]
    Disk,
}
