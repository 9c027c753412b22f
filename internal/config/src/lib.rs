//! YAML to one checked configuration, with the place of every mistake.
