//! Consumer groups: members, assignments, offsets.
