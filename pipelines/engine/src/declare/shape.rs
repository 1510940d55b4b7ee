//! What may stand in a file, as data: its keys with their forms, examples and descriptions.
//!
//! A [`Shape`] is what [`Fields`](crate::yaml::Fields) reads a mapping by, and what the file's
//! [JSON Schema](super::json_schema) is made of. There is no second list of keys, so an editor knows what `check` knows.
//!
//! ```text
//! Key::required("partitions", Form::Integer(1, 10_000), "10", "How many partitions the topic has.")
//! ```

/// A mapping whose keys are known.
#[derive(Debug)]
pub struct Shape {
    pub doc: &'static str,
    /// In the order in which they are told.
    pub keys: &'static [Key],
    /// What binds keys to each other.
    pub rules: &'static [Rule],
    /// Before a key's name in a message: `retry.` of `retry.times`.
    pub prefix: &'static str,
}

/// A key, and what may stand behind it.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub form: Form,
    /// What to write, as YAML.
    pub example: &'static str,
    pub doc: &'static str,
    pub required: bool,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A text that is not empty.
    Text,
    /// An expression, as its text.
    Expression,
    /// A text of a certain form.
    Like(Pattern),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number, both ends included.
    Integer(u32, u32),
    Boolean,
    /// Elements of a form, at least so many.
    List(&'static Form, usize),
    /// Texts of a form, at least so many, none of them twice.
    Texts(&'static Form, usize),
    /// One text, or a list of them.
    TextOrTexts(&'static Form),
    /// A mapping whose keys are names that the author chose.
    Names(&'static Names),
    /// A mapping whose keys are known.
    Keys(&'static Shape),
    /// The first of these that fits.
    Any(&'static [Form]),
    Nothing,
    /// A value that something else gives its type.
    Value,
}

/// A mapping from names to values of one form.
#[derive(Debug)]
pub struct Names {
    /// None: any text.
    pub name: Option<Pattern>,
    pub value: Form,
    pub least: usize,
    pub most: Option<usize>,
    /// Names that mean something by themselves.
    pub known: &'static [Key],
}

/// A text's form.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// A regular expression of ECMA-262, anchored.
    pub regex: &'static str,
    /// What it asks for, as a person says it.
    pub says: &'static str,
}

/// What binds the keys of a mapping to each other.
#[derive(Debug)]
pub enum Rule {
    ExactlyOne(&'static [&'static str]),
    AtLeastOne(&'static [&'static str]),
    AtMostOne(&'static [&'static str]),
    /// The first stands only beside one of the others.
    Needs(&'static str, &'static [&'static str]),
}

impl Key {
    pub const fn required(name: &'static str, form: Form, example: &'static str, doc: &'static str) -> Self {
        Self { name, form, example, doc, required: true }
    }

    pub const fn optional(name: &'static str, form: Form, example: &'static str, doc: &'static str) -> Self {
        Self { name, form, example, doc, required: false }
    }
}

impl Shape {
    pub const fn new(doc: &'static str, keys: &'static [Key]) -> Self {
        Self { doc, keys, rules: &[], prefix: "" }
    }

    pub const fn rules(self, rules: &'static [Rule]) -> Self {
        Self { rules, ..self }
    }

    pub const fn within(self, prefix: &'static str) -> Self {
        Self { prefix, ..self }
    }

    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Names {
    pub const fn of(name: Pattern, value: Form) -> Self {
        Self { name: Some(name), value, least: 0, most: None, known: &[] }
    }

    /// Of texts that are no names of this language.
    pub const fn any(value: Form) -> Self {
        Self { name: None, value, least: 0, most: None, known: &[] }
    }

    pub const fn at_least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    pub const fn one(self) -> Self {
        Self { least: 1, most: Some(1), ..self }
    }

    pub const fn known(self, known: &'static [Key]) -> Self {
        Self { known, ..self }
    }
}

/// A name that this language gives: [`super::MAX_NAME`] bytes at most.
pub const NAME: Pattern = Pattern {
    regex: "^[a-z][a-z0-9_]{0,47}$",
    says: "a letter, then lower-case letters, digits and underscores, at most 48 bytes",
};

pub const TOPIC_NAME: Pattern = Pattern {
    regex: "^[a-z][a-z0-9_.-]{0,47}$",
    says: "a letter, then lower-case letters, digits, points, dashes and underscores, at most 48 bytes",
};

/// An event's or a field's name.
pub const AVRO_NAME: Pattern = Pattern {
    regex: "^[A-Za-z_][A-Za-z0-9_]*$",
    says: "a letter or underscore, then letters, digits and underscores, as Avro has names",
};

/// One environment variable, and nothing else.
pub const VARIABLE: Pattern = Pattern {
    regex: r"^\$\{[A-Za-z0-9_]+\}$",
    says: "one environment variable, \"${NAME}\": a secret never stands here",
};

pub const EVENT: Form = Form::Like(AVRO_NAME);
pub const FIELD: Form = Form::Like(AVRO_NAME);
pub const COLUMN: Form = Form::Like(NAME);
