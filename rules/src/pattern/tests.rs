use super::*;

/// The first match anywhere in the text.
fn first<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
    let regex = anywhere(pattern).unwrap_or_else(|refused| panic!("{refused}"));
    regex.find(text).map(|found| found.as_str())
}

#[test]
fn classes_of_perl_are_those_of_ascii() {
    assert_eq!(first(r"\d+", "٣4"), Some("4"));
    assert_eq!(first(r"\w+", "éa_1"), Some("a_1"));
    assert_eq!(first(r"\W+", "aéb"), Some("é"));
    assert_eq!(first(r"[^\d]", "3٣"), Some("٣"));
    assert_eq!(first(r"[\D]", "3٣"), Some("٣"));
    assert_eq!(first(r"\s", "\u{b}\u{a0}"), None);
    assert_eq!(first(r"\bb", "éb"), Some("b"));
}

#[test]
fn a_backslash_takes_the_meaning_from_any_sign() {
    assert_eq!(first(r"\<a\>", "<a>"), Some("<a>"));
    assert_eq!(first(r"\&\-\/", "&-/"), Some("&-/"));
}

#[test]
fn a_whole_pattern_matches_all_of_a_text_with_its_newlines() {
    let is_match = |pattern, text| whole(pattern).unwrap().is_match(text);
    assert!(is_match("a.*", "a\nb"));
    assert!(is_match("a|b", "b"));
    assert!(!is_match("a|b", "ab"));
    assert!(!is_match("a", "a\n"));
}

#[test]
fn what_go_reads_otherwise_is_refused_with_the_part_that_it_is() {
    let cases = [
        ("[a&&b]", "`a&&b` are single signs to Go"),
        ("[a--b]", "single signs"),
        ("[a~~b]", "single signs"),
        ("[a[b]]", "`[b]` is no class within a class"),
        ("x**", "`x**` repeats a repetition"),
        ("x*+", "repeats a repetition"),
        ("x{2}{3}", "repeats a repetition"),
        ("(?x)a", "`x` is no flag to Go"),
        ("(?u:a)", "`u` is no flag"),
        ("(?R)$", "`R` is no flag"),
        ("x{,5}", "expects a valid decimal"),
        ("x{1, 2}", "`{1, 2}` is no repetition"),
        ("x{1001}", "more than 1000 times"),
        ("((x{100}){11})", "more than 1000 times"),
        (r"\B", "`\\B` is read differently"),
        (r"\b{start}a", "read differently"),
        (r"\u0041", "no escape to Go"),
        (r"\u{41}", "no escape to Go"),
        (r"[\U00000041-z]", "no escape to Go"),
        (r"\pL", "version of Unicode"),
        (r"[\p{Greek}]", "version of Unicode"),
        ("(?<a.b>x)", "`a.b` is no name of a group"),
        ("(", "unclosed group"),
        (r"\Qa\E", "unrecognized escape"),
        ("(a{501}){2}", "more than 1000 times"),
        (r"([^x]{900}|[^y]{900}|[^z]{900})", "size limit"),
    ];
    for (pattern, reason) in cases {
        let refusal = whole(pattern).expect_err(pattern);
        let names_it = refusal.contains(&format!("`{pattern}` is not a regular expression here"));
        assert!(names_it && refusal.contains(reason), "{pattern}: {refusal}");
    }
}

#[test]
fn repetitions_beside_each_other_do_not_add_up() {
    for pattern in ["x{1000}", "x{600}y{600}", "(x{10}){100}", "(x{0}){1000}"] {
        assert!(whole(pattern).is_ok(), "{pattern}");
    }
}

#[test]
fn a_replacement_is_written_out_as_go_does() {
    let cases = [
        ("$1-$2", "ab-cd"),
        ("$1x", ""),
        ("${1}x", "abx"),
        ("$$1", "$1"),
        ("$01", ""),
        ("${01}|$00", "|"),
        ("$0", "ab cd"),
        ("$name.$9", "cd."),
        ("${}", "${}"),
        ("${a-b}", "${a-b}"),
        ("${1", "${1"),
        ("$", "$"),
        ("a$ b", "a$ b"),
    ];
    let regex = whole("(a.) (?P<name>c.)").unwrap();
    let captures = regex.captures("ab cd").unwrap();
    for (template, expected) in cases {
        let mut written = String::new();
        let replacement = Replacement::read(template).unwrap();
        replacement.expand(&captures, &mut written);
        assert_eq!(written, expected, "{template}");
    }
}

#[test]
fn a_replacement_whose_name_has_no_certain_end_is_refused() {
    for template in ["$1é", "${é}", "$é"] {
        let refusal = Replacement::read(template).expect_err(template);
        assert!(refusal.contains("not certain"), "{refusal}");
    }
    assert!(Replacement::read("é$1.é").is_ok());
}
