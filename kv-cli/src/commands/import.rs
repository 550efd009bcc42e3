//! import: one entry per row, in batches, in bounded memory.

use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    encoded_rows::Encoded,
    encoding::{Encoding, EncodingArgs},
    env::Env,
    failure::{Context, Failure},
    format::{Input, KeyFields, KeySource, Reading},
    interrupt::Interrupt,
    loader::Loader,
    opening,
    output::{counted, duration, grouped, rate},
    source::{Packing, Source, cannot_read, packing_of, show},
};

pub const HELP: &str = "\
Formats. The extension .tsv, .csv, .jsonl, .ndjson or .json selects one; a file
with another extension, and stdin, is read as tsv. A further extension .gz or
.zst says how the file is packed. A byte order mark is skipped.
  tsv    The key is everything before the first tab, the value the rest of the
         line, byte for byte. Lines end with \\n alone: the \\r of a \\r\\n belongs
         to the value (`tr -d '\\r'` removes it).
  csv    Exactly two fields, as in RFC 4180, in UTF-8, no header: key, value.
  jsonl  One object per line: {\"key\":\"…\",\"value\":\"…\"}, with \"key_base64\" or
         \"value_base64\" instead for bytes that are not UTF-8. Empty lines are
         skipped.
  json   An array of such objects, or such objects one after the other.
  lines  Each line is a key, with an empty value. Empty lines are skipped.

With --key FIELD, rows have fields with names:
  csv          The first row names the fields. The key is the value of FIELD,
               the value is the whole row as a JSON object of strings. Empty
               lines are skipped. With --short-rows a row may have fewer fields;
               those that it lacks are not in the object.
  jsonl, json  Any objects. The key is the value of FIELD (a string, or the JSON
               text of a number or boolean), the value is the object's text.
If --key is given several times, the key is made of all these fields, joined by
a slash or by what --join says. A row in which this is not unique, because a
field contains that text, is refused.

With --hex, --base64 or --escaped, keys and values of tsv, csv and lines are
decoded. `kv scan` prints entries so, with the same option. What is encoded may
be at most as long as a key or a value.

With --row-numbers the key is the row's number, from 000000000001 on, and the
value is the object or, for tsv and lines, the line.

A key that exists already gets the new value. If several rows have the same
key, the last one counts. The report says how many keys are new, and how many
rows replaced a value.

Rows are committed in batches of 1,000 rows or 4 MiB; each batch is imported
completely or not at all. A row that cannot be imported ends the import with
exit code 3 and the row's line number. The batches before it stay imported; its
own batch and all later rows do not, and the message names the first line that
is not imported. It is safe to correct the file and import all of it again.
Ctrl-C finishes the batch.";

#[derive(Debug, clap::Args)]
pub struct Import {
    /// The collection to import into
    collection: OsString,
    /// The file to import; `-` reads stdin
    file: PathBuf,
    /// The format [default: by the file's extension, or tsv]
    #[arg(long, value_enum)]
    format: Option<Input>,
    /// A field that is the key; the value is the whole row as JSON. For csv with a header, jsonl
    /// and json
    #[arg(long, value_name = "FIELD")]
    key: Vec<String>,
    /// What joins the fields of a key
    #[arg(long, value_name = "TEXT", default_value = "/", requires = "key")]
    join: String,
    /// The key is the number of the row
    #[arg(long, conflicts_with = "key")]
    row_numbers: bool,
    /// What separates fields: one ASCII character or \t [default: a comma in csv, a tab in tsv]
    #[arg(long, value_name = "C", value_parser = separator)]
    separator: Option<u8>,
    /// Rows of csv may have fewer fields than the header
    #[arg(long)]
    short_rows: bool,
    /// How the file is packed [default: by the file's extension]
    #[arg(long, value_enum)]
    packed: Option<Packing>,
    #[command(flatten)]
    encoding: EncodingArgs,
}

fn separator(text: &str) -> Result<u8, String> {
    match text {
        r"\t" => Ok(b'\t'),
        "\"" | "\n" | "\r" => Err("a quote or the end of a line cannot separate fields".into()),
        text => match *text.as_bytes() {
            [byte] if byte.is_ascii() => Ok(byte),
            _ => Err(r"it is one ASCII character, or \t for a tab".into()),
        },
    }
}

impl Import {
    /// How the file is packed, and how its rows are read.
    fn reading(&self) -> Result<(Option<Packing>, Reading), Failure> {
        let (packing, unpacked) = packing_of(&self.file);
        let input = self.format.or_else(|| Input::of(unpacked));
        let has_fields = matches!(input, Some(Input::Csv | Input::Jsonl | Input::Json));
        if !self.key.is_empty() && !has_fields {
            return Err(Failure::Usage(
                r"--key needs rows with named fields: csv, jsonl or json (see --format); for tsv with a header, --format csv --separator '\t'"
                    .into(),
            ));
        }
        if self.separator.is_some() && !matches!(input, None | Some(Input::Tsv | Input::Csv)) {
            return Err(Failure::Usage("--separator is for tsv and csv".into()));
        }
        if let Some((again, _)) = self.key.iter().enumerate().find(|(place, name)| self.key[..*place].contains(name)) {
            return Err(Failure::Usage(format!("--key {:?} is there twice", self.key[again])));
        }
        if self.join.is_empty() {
            return Err(Failure::Usage(
                "--join needs a text: without one, different rows could get the same key".into(),
            ));
        }
        let has_header = input == Some(Input::Csv) && (self.row_numbers || !self.key.is_empty());
        if self.short_rows && !has_header {
            return Err(Failure::Usage("--short-rows is for csv with a header: give --key or --row-numbers".into()));
        }
        let is_pair = self.key.is_empty() && !self.row_numbers;
        if self.encoding.encoding() != Encoding::Plain
            && !(is_pair && matches!(input, None | Some(Input::Tsv | Input::Csv | Input::Lines)))
        {
            return Err(Failure::Usage(
                "--hex, --base64 and --escaped are for rows of a key and a value: tsv, csv and lines".into(),
            ));
        }
        let key = match (self.row_numbers, self.key.is_empty()) {
            (true, _) => KeySource::RowNumber,
            (false, true) => KeySource::Pair,
            (false, false) => KeySource::Fields(KeyFields { names: self.key.clone(), joined_by: self.join.clone() }),
        };
        let reading = Reading { input, key, separator: self.separator, allows_short: self.short_rows };
        Ok((self.packed.or(packing), reading))
    }
}

pub fn run(env: &mut Env<'_>, args: &Import) -> Result<(), Failure> {
    let (packing, reading) = args.reading()?;
    let name = opening::name_of(&args.collection)?;
    let interrupt = Interrupt::watch().doing(|| "cannot watch for signals".into())?;
    // The input is opened first: a mistyped file name must not leave a new store behind.
    let source = Source::open(env, &args.file, &interrupt)?;
    let file = source.name.clone();
    let bar = source.progress_bar();
    let content = source.content(packing, &bar)?;
    let store = opening::or_new(env)?;
    let collection = opening::collection(&store, name)?;
    let entries = || collection.len().doing(|| format!("cannot count the entries of {name:?}"));
    let is_new = !opening::exists(&store.snapshot(), name)?;
    let before = entries()?;

    show(&bar, env.teller.is_quiet());
    let started = Instant::now();
    let mut loader = Loader::new(&store, Some(&interrupt));
    let rows = reading.rows(content).map_err(|error| cannot_read(&file, error));
    let encoding = args.encoding.encoding();
    let loaded = rows.map(|mut rows| match encoding {
        Encoding::Plain => loader.load(name, &mut *rows),
        _ => loader.load(name, &mut Encoded { rows, encoding }),
    });
    bar.finish_and_clear();
    if is_new && loader.rows_committed > 0 {
        opening::announce_collection(env, &store, name);
    }
    loaded?.map_err(|stop| loader.failure(stop, &file))?;
    let new = entries()?.saturating_sub(before);
    drop(collection);
    opening::close(env, &store);
    report(env, name, loader.rows_committed, new, started.elapsed());
    Ok(())
}

fn report(env: &Env<'_>, name: &str, rows: u64, new: u64, time: Duration) {
    let replaced = rows.saturating_sub(new);
    let rate = grouped(rate(rows, time));
    let (rows, new, replaced) = (counted(rows, "row"), grouped(new), grouped(replaced));
    let time = duration(time);
    env.teller.report(format_args!(
        "imported {rows} into {name:?} in {time} ({rate} rows/s): {new} new, {replaced} replaced"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_single_characters() {
        assert_eq!([";", "|", r"\t", "\t", " "].map(separator), [b';', b'|', b'\t', b'\t', b' '].map(Ok));
        for text in ["", ";;", "é", "\"", "\n"] {
            assert!(separator(text).is_err(), "{text:?}");
        }
    }
}
