//! The command, as its user sees it: real processes, with a node, without one, and beside one that
//! dies.

mod channels;
mod crash;
mod damage;
mod dead_letters;
mod output;
mod owners;
mod pub_sub;
mod subscribers;
mod tail;
mod world;
