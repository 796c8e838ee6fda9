//! The path by which a receiver gets its data.

/// How a receiver gets its data, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathChoice {
    /// By multicast: SYNC or data came through.
    Group,
    /// By unicast: it was told to.
    UnicastAsked,
    /// By unicast: nothing came on the group in time.
    UnicastSilent,
    /// By unicast: SYNC came but full-sized data did not.
    UnicastNoData,
    /// By unicast: the slowest tier is more than its path carries.
    UnicastTooSlow,
    /// By unicast: the sender wants it so.
    UnicastTold,
}

impl PathChoice {
    /// Whether it is unicast.
    pub fn is_unicast(self) -> bool {
        self != PathChoice::Group
    }

    /// A word for scripts: `multicast` or `unicast`.
    pub fn name(self) -> &'static str {
        if self.is_unicast() {
            "unicast"
        } else {
            "multicast"
        }
    }

    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            PathChoice::Group => "the group gets through",
            PathChoice::UnicastAsked => "as asked",
            PathChoice::UnicastSilent => "nothing was heard on the group in time",
            PathChoice::UnicastNoData => "SYNC was heard on the group, but no full-sized data",
            PathChoice::UnicastTooSlow => "even the slowest tier is more than comes through",
            PathChoice::UnicastTold => "the sender wants it so",
        }
    }
}
