//! `snowguard rules check` and `snowguard rules test`: what `promtool check rules` and
//! `promtool test rules` say, of the rules as the watchdog would evaluate them.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use snowguard_exporter::units::{ByteSize, TimeSpan};
use snowguard_rules::{LARGEST_FILE, RuleSet, testing};

use super::{
    arguments::{CheckRules, Rules, TestRules},
    failure::Failure,
    page::Page,
    say, text,
};

pub(super) fn run(asked: &Rules, page: &mut Page<'_>) -> Result<(), Failure> {
    match asked {
        Rules::Check(asked) => check(asked, page),
        Rules::Test(asked) => test(asked, page),
    }
}

fn check(asked: &CheckRules, page: &mut Page<'_>) -> Result<(), Failure> {
    let (mut bad, mut twice) = (0, 0);
    let mut look_for_duplicates = false;
    for lint in &asked.lint {
        match lint.as_str() {
            "all" | "duplicate-rules" => look_for_duplicates = true,
            "none" => {}
            unknown => say(&format!(
                "warning: --lint: {unknown:?} is not known, and nothing is looked for by it; known \
                 are all, duplicate-rules and none"
            )),
        }
    }
    let stdin = [PathBuf::from("standard input")];
    let files = if asked.files.is_empty() {
        &stdin
    } else {
        asked.files.as_slice()
    };
    for file in files {
        let name = text::path(file);
        let text = read(file, asked.files.is_empty()).map_err(|error| format!("{name}: {error}"));
        let rules = text.and_then(|text| {
            let rules = RuleSet::parse(&name, &text).map_err(|error| error.to_string());
            rules.map(|rules| (rules, text))
        });
        let (rules, text) = match rules {
            Ok(read) => read,
            Err(error) => {
                bad += 1;
                say(&error);
                continue;
            }
        };
        page.line(&format!("{name}: OK, {}", summary(&rules)))?;
        let duplicates = match look_for_duplicates {
            true => RuleSet::duplicates(&text),
            false => Default::default(),
        };
        if RuleSet::leaves_documents_out(&text) {
            say(&format!(
                "{name}: warning: only the first YAML document is read, as in Prometheus; make \
                 files of the others"
            ));
        }
        for duplicate in &duplicates {
            say(&format!("{name}: warning: {duplicate} is there twice"));
        }
        twice += duplicates.len();
    }
    if bad > 0 {
        let files = text::number(bad, "rule file", "rule files");
        return Err(Failure::BadRules(format!("{files} cannot be used")));
    }
    if twice > 0 && asked.lint_fatal {
        let rules = text::number(twice, "rule is", "rules are");
        return Err(Failure::Lint(format!("{rules} there twice")));
    }
    Ok(())
}

/// Reads a file, or a pipe as `<(...)` of a shell makes one; no more than a rule file may have.
fn read(file: &Path, stdin: bool) -> io::Result<String> {
    let source: Box<dyn io::Read> = match stdin {
        false => Box::new(File::open(file)?),
        true => Box::new(io::stdin()),
    };
    let text = io::read_to_string(source.take(LARGEST_FILE + 1))?;
    if text.len() as u64 > LARGEST_FILE {
        let most = ByteSize(LARGEST_FILE);
        return Err(io::Error::other(format!(
            "a rule file may have {most}; split it into several"
        )));
    }
    Ok(text)
}

fn summary(rules: &RuleSet) -> String {
    let alerts = rules.alerting().count();
    let healing = rules.alerting().filter(|(_, remedy)| remedy.is_some());
    format!(
        "{}, {} of them with a remedy, {}; looks back {}",
        text::number(alerts, "alert", "alerts"),
        healing.count(),
        text::number(rules.len() - alerts, "recording rule", "recording rules"),
        TimeSpan(rules.needed_window())
    )
}

fn test(asked: &TestRules, page: &mut Page<'_>) -> Result<(), Failure> {
    let mut failed = 0;
    for file in &asked.files {
        let name = text::path(file);
        let mut warn = |warning: String| say(&format!("{name}: warning: {warning}"));
        match testing::run(file, &mut warn) {
            Ok(()) => page.line(&format!("{name}: OK"))?,
            Err(failures) => {
                failed += 1;
                for failure in failures {
                    say(&format!("{name}: {failure}"));
                }
            }
        }
    }
    if failed > 0 {
        let files = text::number(failed, "file", "files");
        return Err(Failure::BadRules(format!("the tests of {files} failed")));
    }
    Ok(())
}
