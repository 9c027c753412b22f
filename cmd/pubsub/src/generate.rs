//! `pubsub completion` and `pubsub man`.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::fail::Fail;
use crate::out::Out;

/// Prints what a shell needs to complete our commands.
pub(crate) fn completion(shell: Shell) -> Result<(), Fail> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pubsub", &mut script);
    let mut out = Out::new();
    out.write(&script)?;
    out.flush()
}

/// Prints the manual page, or writes one for every command into a directory.
pub(crate) fn man(dir: Option<&Path>, context: &Context) -> Result<(), Fail> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map_err(|error| Fail::io("render the manual page", &error))?;
        let mut out = Out::new();
        out.write(&page)?;
        return out.flush();
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .map_err(|error| Fail::io(format!("write to {}", dir.display()), &error))?;
    context.say(&format!("wrote the manual pages to {}", dir.display()));
    Ok(())
}
