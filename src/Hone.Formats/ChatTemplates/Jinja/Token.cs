namespace Hone.Formats.ChatTemplates.Jinja;

internal enum TokenKind
{
    Data, VariableBegin, VariableEnd, BlockBegin, BlockEnd, Name, String, Integer, Float, Eof,
    Add, Sub, Div, FloorDiv, Mul, Mod, Pow, Tilde, LeftBracket, RightBracket, LeftParen, RightParen, LeftBrace, RightBrace,
    Eq, Ne, Gt, GtEq, Lt, LtEq, Assign, Dot, Colon, Pipe, Comma, Semicolon,
}

/// <summary>A piece of a template. <c>Text</c> holds a name, a string's or data's value; <c>Value</c> a number.</summary>
internal readonly record struct Token(TokenKind Kind, string Text, int Line, object? Value = null)
{
    public bool IsName(string name) => Kind == TokenKind.Name && Text == name;

    /// <summary>How error messages name the token.</summary>
    public string Describe() => Kind switch
    {
        TokenKind.Name => Text,
        TokenKind.Data => "template data / text",
        TokenKind.VariableBegin => "begin of print statement",
        TokenKind.VariableEnd => "end of print statement",
        TokenKind.BlockBegin => "begin of statement block",
        TokenKind.BlockEnd => "end of statement block",
        TokenKind.Eof => "end of template",
        TokenKind.String => "string",
        TokenKind.Integer => "integer",
        TokenKind.Float => "float",
        _ => Text,
    };
}
