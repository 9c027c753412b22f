//! A world that lies, from one seed: a disk that loses, tears, reorders and fails.
