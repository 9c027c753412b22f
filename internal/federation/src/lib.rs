//! The link between two nodes, as machines: who may send what, where to resume, what was already received.
