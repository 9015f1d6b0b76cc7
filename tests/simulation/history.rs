//! A scene and what happens in it, as a text that can be kept and run again.

use std::fmt;

use crate::op::Op;
use crate::scene::Scene;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub scene: Scene,
    pub ops: Vec<Op>,
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.scene)?;
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

impl History {
    /// The history that a text is. Lines that begin with `#` say what it is about.
    ///
    /// # Panics
    /// At a line that is none.
    pub fn read(text: &str) -> Self {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let scene = lines.next().and_then(Scene::read).expect("the first line is the scene");
        let read = |line: &str| Op::read(line).unwrap_or_else(|| panic!("no operation: {line}"));
        Self { scene, ops: lines.map(read).collect() }
    }
}
