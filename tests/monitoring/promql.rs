//! As much of PromQL as is needed to see which metrics, labels and values an expression names.

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The metrics, in the order of the expression.
    pub metrics: Vec<Selector>,
    /// The labels of `by`, `without`, `on`, `ignoring`, `group_left` and `group_right`, and of `label_values`.
    pub labels: Vec<String>,
}

/// One metric, as an expression asks for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Its name.
    pub metric: String,
    /// What its labels must be.
    pub matchers: Vec<Matcher>,
    /// The function that it is the argument of; empty if none.
    pub function: String,
}

/// `label="value"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// The label.
    pub label: String,
    /// The values: one, or the alternatives of a regular expression.
    pub values: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// Words that are neither functions nor metrics.
const OPERATORS: &[&str] = &["and", "or", "unless", "offset", "bool"];
/// Words in front of a list of labels.
const GROUPINGS: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Reads an expression.
///
/// # Panics
/// If it has unbalanced parentheses or an unended text; Prometheus itself is asked for the rest.
pub fn names(expression: &str) -> Names {
    let tokens = tokens(expression);
    let mut names = Names::default();
    // The functions whose arguments are being read; empty for mere parentheses.
    let mut functions: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Sign('(') => functions.push(String::new()),
            Token::Sign(')') => drop(functions.pop().expect("a parenthesis to close")),
            Token::Word(word) if OPERATORS.contains(&word.as_str()) => {}
            // `sum by (bot) (…)`
            Token::Word(_) if matches!(tokens.get(at), Some(Token::Word(next)) if next == "by" || next == "without") =>
                {}
            Token::Word(word) if GROUPINGS.contains(&word.as_str()) => {
                let end = position(&tokens, at, ')');
                names.labels.extend(words(&tokens[at..end]));
                at = end + 1;
            }
            Token::Word(word) if tokens.get(at) == Some(&Token::Sign('(')) => {
                functions.push(word.clone());
                at += 1;
            }
            Token::Word(word)
                if functions.last().is_some_and(|function| function == "label_values") && {
                    tokens.get(at) == Some(&Token::Sign(')'))
                } =>
            {
                names.labels.push(word.clone());
            }
            Token::Word(word) => {
                let mut selector = Selector {
                    metric: word.clone(),
                    function: functions.last().cloned().unwrap_or_default(),
                    ..Selector::default()
                };
                if tokens.get(at) == Some(&Token::Sign('{')) {
                    let end = position(&tokens, at, '}');
                    selector.matchers = matchers(&tokens[at + 1..end]);
                    at = end + 1;
                }
                names.metrics.push(selector);
            }
            Token::Text(_) | Token::Sign(_) => {}
        }
    }
    assert!(functions.is_empty(), "an open parenthesis in {expression}");
    names
}

fn position(tokens: &[Token], from: usize, sign: char) -> usize {
    let found = tokens[from..].iter().position(|token| *token == Token::Sign(sign));
    from + found.unwrap_or_else(|| panic!("no {sign} in {tokens:?}"))
}

fn words(tokens: &[Token]) -> impl Iterator<Item = String> {
    tokens.iter().filter_map(|token| match token {
        Token::Word(word) => Some(word.clone()),
        Token::Text(_) | Token::Sign(_) => None,
    })
}

fn matchers(tokens: &[Token]) -> Vec<Matcher> {
    let of = |tokens: &[Token]| match tokens {
        [Token::Word(label), operator @ .., Token::Text(value)] => Matcher {
            label: label.clone(),
            values: if operator.contains(&Token::Sign('~')) {
                value.split('|').map(str::to_owned).collect()
            } else {
                vec![value.clone()]
            },
        },
        other => panic!("no matcher: {other:?}"),
    };
    tokens.split(|token| *token == Token::Sign(',')).filter(|part| !part.is_empty()).map(of).collect()
}

/// Splits an expression into words, texts and signs, without numbers, durations, ranges and comments.
fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '[' => rest.find(']').expect("an end of the range") + 1,
            '"' | '\'' => {
                let text = &rest[1..];
                let end = text.find(first).expect("an end of the text");
                tokens.push(Token::Text(text[..end].to_owned()));
                end + 2
            }
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let word = prefix(rest);
                tokens.push(Token::Word(word.to_owned()));
                word.len()
            }
            // A number or a duration: `0.99`, `1h`.
            '0'..='9' => prefix(rest).len(),
            other => {
                if !other.is_whitespace() {
                    tokens.push(Token::Sign(other));
                }
                other.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    tokens
}

fn prefix(text: &str) -> &str {
    let end = text.find(|other: char| !(other.is_ascii_alphanumeric() || "_:.".contains(other)));
    &text[..end.unwrap_or(text.len())]
}

#[test]
fn an_expression_is_read() {
    let read = names(
        "histogram_quantile(0.99, sum by (bot, le) (rate(a_bucket{bot=~\"x|y\", how!=\"z\"}[5m])))\n\
         unless on (job) b offset 1h == bool 1 # c\n or label_values(d{}, group)",
    );
    let matcher = |label: &str, values: &[&str]| Matcher {
        label: label.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let selector = |metric: &str, function: &str, matchers: &[Matcher]| Selector {
        metric: metric.to_owned(),
        function: function.to_owned(),
        matchers: matchers.to_vec(),
    };
    let expected = Names {
        metrics: vec![
            selector("a_bucket", "rate", &[matcher("bot", &["x", "y"]), matcher("how", &["z"])]),
            selector("b", "", &[]),
            selector("d", "label_values", &[]),
        ],
        labels: ["bot", "le", "job", "group"].map(str::to_owned).to_vec(),
    };
    assert_eq!(read, expected);
}
