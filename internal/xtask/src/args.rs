//! What was typed behind `cargo xtask`.

/// What can be typed.
pub(crate) const USAGE: &str = "\
usage: cargo xtask <chore>

  test [--keep-going]          all that must pass: formatting, tidy, lints, tests, docs, licences
  tidy                         only the checks of the tree itself
  ci                           what CI does: .ci/run in a fresh clone of the last commit
  bench [ARG]...               the benchmarks; arguments go to them
  fuzz [TARGET] [--seconds N]  the fuzz targets, 10 seconds each
  golden [FILTER]              writes the golden files anew, to be read in the diff

Set PUBSUB_REQUIRE=all to make a failure of every skip, PUBSUB_REQUIRE=all,-NAME of all but NAME.";

/// How long a fuzz target runs when nothing else is said, in seconds.
const FUZZ_SECONDS: u64 = 10;

/// A chore, with what it was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    Help,
    Test { keep_going: bool },
    Tidy,
    Ci,
    Bench { arguments: Vec<String> },
    Fuzz { target: Option<String>, seconds: u64 },
    Golden { filter: Option<String> },
}

/// Reads the arguments, or says what is wrong with them.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Chore, String> {
    let mut rest = arguments.into_iter();
    let name = rest.next().unwrap_or_else(|| "help".to_owned());
    let chore = match name.as_str() {
        "help" | "-h" | "--help" => Chore::Help,
        "test" => match rest.next() {
            None => Chore::Test { keep_going: false },
            Some(flag) if flag == "--keep-going" => Chore::Test { keep_going: true },
            Some(other) => return Err(unknown(&other)),
        },
        "tidy" => Chore::Tidy,
        "ci" => Chore::Ci,
        "bench" => Chore::Bench { arguments: rest.by_ref().collect() },
        "fuzz" => fuzz(&mut rest)?,
        "golden" => Chore::Golden { filter: rest.next() },
        other => return Err(unknown(other)),
    };
    rest.next().map_or(Ok(chore), |surplus| Err(unknown(&surplus)))
}

fn fuzz(rest: &mut impl Iterator<Item = String>) -> Result<Chore, String> {
    let (mut target, mut seconds) = (None, FUZZ_SECONDS);
    while let Some(argument) = rest.next() {
        if argument == "--seconds" {
            let number = rest.next().and_then(|text| text.parse().ok());
            seconds = number.ok_or("--seconds needs a number")?;
        } else if argument.starts_with('-') || target.is_some() {
            return Err(unknown(&argument));
        } else {
            target = Some(argument);
        }
    }
    Ok(Chore::Fuzz { target, seconds })
}

fn unknown(argument: &str) -> String {
    format!("I do not know {argument:?} there")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Chore, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_chore_in_the_usage_is_known() {
        for line in USAGE.lines().filter_map(|line| line.strip_prefix("  ")) {
            let name = line.split_whitespace().next().unwrap();
            parsed(name).unwrap();
        }
    }

    #[test]
    fn nothing_typed_asks_for_help() {
        assert_eq!(parsed(""), Ok(Chore::Help));
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for line in ["tset", "test --keepgoing", "tidy all", "golden a b", "fuzz a b", "fuzz -x"] {
            let wrong = parsed(line).unwrap_err();
            let last = line.split(' ').next_back().unwrap();
            assert!(wrong.contains(last), "{line}: {wrong}");
        }
    }

    #[test]
    fn fuzzing_time_is_a_number() {
        let target = Some("frames".to_owned());
        assert_eq!(parsed("fuzz frames --seconds 60"), Ok(Chore::Fuzz { target, seconds: 60 }));
        parsed("fuzz --seconds").unwrap_err();
        parsed("fuzz --seconds soon").unwrap_err();
    }

    #[test]
    fn benchmarks_get_their_arguments_as_typed() {
        let arguments = vec!["--save-baseline".to_owned(), "before".to_owned()];
        assert_eq!(parsed("bench --save-baseline before"), Ok(Chore::Bench { arguments }));
    }
}
