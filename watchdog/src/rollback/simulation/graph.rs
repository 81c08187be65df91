//! The graph of the states, as the machine itself goes through it: `docs/architecture.md` shows
//! every way that a thousand histories found, and no other. `SNOWGUARD_BLESS=1` draws it anew.

use std::{collections::BTreeSet, env, fs, path::Path};

use super::{Story, history};
use crate::record::Mode;

const BEGIN: &str = "<!-- states: drawn by a test of the watchdog -->\n";
const END: &str = "<!-- states: end -->\n";

#[test]
fn the_picture_of_the_states_is_the_one_that_the_machine_goes_through() {
    let mut ways = BTreeSet::new();
    for seed in 0..20_000 {
        let story = Story::of(seed, 40);
        let mode = if seed % 5 == 0 {
            Mode::Observe
        } else {
            Mode::Act
        };
        let mut judge = history(&story, mode);
        if mode == Mode::Act {
            judge.calm();
        }
        if judge.world.machine.latched() {
            judge.world.machine = std::mem::take(&mut judge.world.machine).release();
            ways.insert(("failed", judge.world.state()));
        }
        ways.extend(judge.world.host.borrow().ways.iter().copied());
    }
    let mut drawn = "```mermaid\nstateDiagram-v2\n    [*] --> unknown\n".to_owned();
    for (from, to) in ways {
        drawn += &format!("    {from} --> {to}\n");
    }
    drawn.push_str("```\n");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let text = fs::read_to_string(&path).expect("the page");
    let (head, rest) = text
        .split_once(BEGIN)
        .expect("the beginning of the picture");
    let (shown, tail) = rest.split_once(END).expect("the end of the picture");
    if env::var_os("SNOWGUARD_BLESS").is_some() {
        let page = format!("{head}{BEGIN}{drawn}{END}{tail}");
        fs::write(&path, page).expect("the page is written");
        return;
    }
    assert_eq!(
        shown, drawn,
        "SNOWGUARD_BLESS=1 draws docs/architecture.md anew"
    );
}
