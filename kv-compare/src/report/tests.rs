use std::fs;

use kv_bench::harness::number;
use serde_json::Value;

use super::{example, headline::HEADLINES, *};

/// The files of the example: the page, the text, the figures, the picture.
fn written() -> [String; 4] {
    written_from(&example::summary())
}

fn written_from(summary: &Summary) -> [String; 4] {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("target/compare");
    write_with(summary, example::CATALOGUE, &directory).unwrap();
    summary.write(&directory).unwrap();
    ["index.html", "report.md", "compare.json", "headline.svg"]
        .map(|name| fs::read_to_string(directory.join(name)).unwrap())
}

#[test]
fn every_figure_is_in_the_json_with_the_keys_that_programs_read() {
    let summary = example::summary();
    let [_, _, json, _] = written();
    let json: Value = serde_json::from_str(&json).unwrap();
    let results = json["results"].as_array().unwrap();
    assert_eq!(results.len(), summary.results.len());
    let first = &results[0];
    assert_eq!(first["workload"], "put-disk-1");
    assert_eq!(first["engine"], "kv");
    assert_eq!(first["promise"], "disk");
    assert_eq!(first["metric"], "rate");
    assert_eq!(first["unit"], "1/s");
    assert_eq!(first["median"], 9800.0);
    assert_eq!(first["runs"], 3);
    assert!(first["min"].as_f64().unwrap() < 9800.0 && first["max"].as_f64().unwrap() > 9800.0);
    assert_eq!(json["ratios"].as_array().unwrap().len(), summary.ratios.len());
    assert_eq!(json["ratios"][0]["best_peer"]["engine"], "fjall");
    let again = serde_json::from_value::<Summary>(json).unwrap();
    assert_eq!((again.engines, again.notes), (summary.engines, summary.notes));
}

#[test]
fn every_colour_of_the_page_is_one_of_the_style_sheet() {
    let [page, ..] = written();
    for picture in page.split("<svg ").skip(1).map(|rest| rest.split("</svg>").next().unwrap()) {
        assert!(!picture.contains("\"#"), "{picture}");
        assert!(picture.contains("var(--ours)"), "{picture}");
    }
    for name in page.split("var(--").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(page.contains(&format!("--{name}:")), "{name}");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
}

/// A viewer that is not a browser does not know CSS variables, and draws a shape without a colour
/// in black.
#[test]
fn every_shape_of_the_pictures_has_a_colour_of_its_own() {
    let [_, _, _, headline] = written();
    assert_has_colours(&headline);
    assert_has_colours(include_str!("../../headline.svg"));
    let summary = example::summary();
    assert_has_colours(&ready::svg(&View::all(&summary, example::CATALOGUE), &summary.sizes).unwrap());
}

fn assert_has_colours(picture: &str) {
    assert!(!picture.contains("<style") && !picture.contains("style=") && !picture.contains("var("));
    let (root, shapes) = picture.split_once('>').unwrap();
    let size = |name: &str| -> f64 {
        root.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap().parse().unwrap()
    };
    assert!(size("width") <= 960.0 && size("height") <= 600.0, "it fits one screen");
    let mut seen = 0;
    for shape in ["<rect ", "<polyline ", "<text "].into_iter().flat_map(|shape| shapes.split(shape).skip(1)) {
        let attributes = shape.split('>').next().unwrap();
        let is_colour = |value: &str| value.starts_with('#') && value.len() == 7 && !value.starts_with("#FE01");
        let paints = [" fill=\"", " stroke=\""].map(|name| {
            let value = attributes.split_once(name)?.1.split('"').next()?;
            Some(value).filter(|value| *value != "none")
        });
        assert!(paints.iter().any(Option::is_some), "{attributes}");
        assert!(paints.iter().flatten().all(|value| is_colour(value)), "{attributes}");
        seen += 1;
    }
    let elements = shapes.matches('<').count() - shapes.matches("</").count() - shapes.matches("<title>").count();
    assert_eq!(elements, seen, "there are shapes of another kind");
    assert!(shapes.trim_start().starts_with("<title>") && shapes.contains("<rect x=\"0\" y=\"0\""), "a background");
}

#[test]
fn html_and_markdown_interpret_nothing_in_a_name() {
    let [page, text, ..] = written();
    assert!(page.contains("&lt;script&gt;&amp;|*x*") && !page.contains("<script"));
    assert!(text.contains(r"\<script\>&amp;\|\*x\*"));
    let prose = text.lines().filter(|line| !line.starts_with("    "));
    assert!(prose.clone().count() > 100);
    assert!(prose.into_iter().all(|line| !line.replace(r"\<", "").contains('<')));
    assert!(page.contains("echo &#39;&lt;b&gt;&#39;"));
}

#[test]
fn every_engine_and_workload_is_shown() {
    let [page, text, _, headline] = written();
    for engine in example::summary().engines {
        assert!(
            page.contains(&format!(">{}</th>", engine.name)) && text.contains(&format!("| {} |", engine.name)),
            "{}",
            engine.name
        );
    }
    for workload in example::CATALOGUE {
        assert!(page.contains(&format!("<h3>{}</h3>", workload.title)), "{}", workload.name);
        assert!(text.contains(&format!("## {}\n", workload.title)), "{}", workload.name);
    }
    assert!(page.contains("<h3>brand-new</h3>"));
    for (name, title) in HEADLINES {
        assert!(headline.contains(&format!("\n{title}\n")), "{name}");
        assert!(WORKLOADS.iter().any(|workload| workload.name == *name), "{name}");
    }
}

#[test]
fn the_text_has_a_table_for_each_workload() {
    let [_, text, ..] = written();
    let table = "\
## Durable put, 8 threads

Puts of new keys from 8 threads, each on disk before it returns. (`put-disk-8`, by rate: more is better.)

| engine | promise | median | min to max | ours/it |
| --- | --- | --: | --: | --: |
| kv | disk | 33.1 k/s | 31.1 to 34.1 k/s | – |
| redis | disk | 22.6 k/s | 21.2 to 23.3 k/s | 1.46× |
";
    assert!(text.contains(table), "{text}");
    assert!(text.contains("| sqlite | disk | 7.92 k/s † | 7.45 to 8.16 k/s | 4.18× |\n"));
    assert!(text.contains("| sled | process | 21.6 k/s | 20.3 to 22.3 k/s | – |\n"));
    assert!(text.contains("| kv | disk | 420 µs | 1.40 ms | 3.90 ms |\n"));
    assert!(
        text.contains("| Durable put, 64 threads | 142 k/s | redis 72.3 k/s | ▲ 1.96× | machine 10.0 k/s | 14.2× |\n")
    );
    assert!(text.contains("| sled | a peer | sled 1.2, each commit with fdatasync; keeps: process |"));
}

#[test]
fn pictures_are_well_formed_and_say_in_words_what_they_show() {
    let [page, _, _, headline] = written();
    let pictures = page.matches("<svg ").count();
    assert_eq!(pictures, page.matches("</svg>").count());
    assert_eq!(
        pictures,
        page.matches("role=\"img\" aria-label=\"").count() - page.matches("<span role=\"img\"").count()
    );
    assert_eq!((headline.matches("<svg ").count(), headline.matches("</svg>").count()), (1, 1));
    assert!(page.contains("fjall 10.3 k/s (disk)"));
    assert!(page.contains("ahead of the best peer that keeps the same promise in 5 of 12 workloads"));
}

#[test]
fn what_promises_something_else_is_not_compared() {
    let summary = example::summary();
    let views = View::all(&summary, example::CATALOGUE);
    let put = views.iter().find(|view| view.name == "put-disk-1").unwrap();
    let engines = |section| put.section(section).iter().map(|row| row.figure.engine.as_str()).collect::<Vec<_>>();
    assert_eq!(engines(view::Section::Ranked)[..3], ["fjall", "kv", "canopydb"]);
    assert_eq!(engines(view::Section::Other), ["sled"]);
    assert_eq!(engines(view::Section::Limit), ["machine"]);
    assert_eq!(engines(view::Section::Part), ["kv-log"]);
    let ratio_to = |engine| {
        put.rows().find(|row| row.figure.engine == engine).and_then(|row| put.ratio_to(&row)).map(number::ratio)
    };
    assert_eq!(ratio_to("fjall").as_deref(), Some("0.95×"));
    assert_eq!(ratio_to("machine").as_deref(), Some("0.98×"));
    assert_eq!(ratio_to("sled"), None);
}

#[test]
fn a_shorter_time_is_a_higher_ratio() {
    let summary = example::summary();
    let views = View::all(&summary, example::CATALOGUE);
    let open = views.iter().find(|view| view.name == "open-clean").unwrap();
    let row = open.rows().find(|row| row.figure.engine == "rocksdb").unwrap();
    assert_eq!(open.ratio_to(&row).map(number::ratio).as_deref(), Some("4.04×"));
    assert_eq!(open.section(view::Section::Ranked)[0].figure.engine, "lmdb");
}

#[test]
fn losses_are_listed_worst_first_and_overlapping_spreads_are_named() {
    let summary = example::summary();
    let losses = wording::losses(&View::all(&summary, example::CATALOGUE));
    assert_eq!(losses[0], "Open after SIGKILL: 390 ms against 160 µs of lmdb (1/2438×).");
    assert_eq!(
        losses.last().unwrap(),
        "Durable put, 1 thread: 9.80 k/s against 10.3 k/s of fjall (0.95×; the repetitions overlap)."
    );
    assert!(!losses.iter().any(|loss| loss.starts_with("Get")));
}

#[test]
fn a_scale_is_logarithmic_only_where_figures_are_far_apart() {
    let summary = example::summary();
    let views = View::all(&summary, example::CATALOGUE);
    let logarithmic = |name: &str| {
        let view = views.iter().find(|view| view.name == name).unwrap();
        bars::Bars::all(view).alternative().contains("logarithmic")
    };
    assert!(logarithmic("open-clean"));
    assert!(!logarithmic("put-disk-1"));
    assert!(!logarithmic("memory"), "lengths are added there");
}

#[test]
fn a_summary_of_nothing_is_a_report_of_nothing() {
    let [page, text, json, headline] = written_from(&Summary::default());
    assert!(page.contains("Nothing was measured") && page.contains("No peer that keeps"));
    assert!(text.contains("Nothing was compared with a peer"));
    assert!(json.contains("\"results\": []"));
    assert!(headline.contains("</svg>"));
}

#[test]
fn figures_without_a_number_do_no_harm() {
    let mut summary = example::summary();
    for (figure, number) in summary.results.iter_mut().zip([f64::NAN, 0.0, f64::INFINITY, -1.0].into_iter().cycle()) {
        (figure.median, figure.min, figure.max) = (number, number, number);
    }
    for curve in &mut summary.curves {
        curve.points = vec![(0.0, 0.0), (0.5, f64::NAN), (1.0, 1.0), (2.0, 3.0)];
    }
    let _ = written_from_any(&summary);
}

/// The page and the text for a summary with any numbers. `compare.json` is left out, because JSON
/// has no numbers such as NaN.
fn written_from_any(summary: &Summary) -> (String, String) {
    let views = View::all(summary, example::CATALOGUE);
    (page::html(&views, summary).unwrap(), headline::svg(&views).unwrap())
}
