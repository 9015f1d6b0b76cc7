//! The dispatcher: which update goes to which consumer when, as a pure state machine.
