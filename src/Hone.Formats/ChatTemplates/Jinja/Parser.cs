using System.Runtime.CompilerServices;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Tokens to nodes: bodies and tags here, the rest in the other parts.</summary>
internal sealed partial class Parser
{
    /// <summary>Bounds nesting, so that neither parsing nor rendering can run out of stack.</summary>
    private const int MaxNesting = 150;

    /// <summary>Bounds operators, attributes and filters in one row: each makes the tree a level deeper.</summary>
    private const int MaxChain = 1000;

    private readonly List<Token> _tokens;
    private readonly Stack<string> _openTags = new();
    private readonly Stack<string[]> _awaited = new();
    private int _position;
    private int _nesting;
    private readonly HashSet<string> _blocks = new(StringComparer.Ordinal);
    private int _loops;

    private Parser(List<Token> tokens) => _tokens = tokens;

    private Token Current => _tokens[_position];

    public static Body Parse(string template)
    {
        var parser = new Parser(Lexer.Read(template));
        var body = new Body(parser.ParseUntil(null));
        return ScopeAnalysis.Run(body);
    }

    private Token Next()
    {
        var token = Current;
        if (_position < _tokens.Count - 1)
        {
            _position++;
        }

        return token;
    }

    private Token Look() => _tokens[Math.Min(_position + 1, _tokens.Count - 1)];

    private bool SkipIf(TokenKind kind)
    {
        var found = Current.Kind == kind;
        if (found)
        {
            Next();
        }

        return found;
    }

    private bool SkipIfName(string name)
    {
        var found = Current.IsName(name);
        if (found)
        {
            Next();
        }

        return found;
    }

    private Token Expect(TokenKind kind, string what)
    {
        if (Current.Kind != kind)
        {
            throw Unexpected(what);
        }

        return Next();
    }

    private void ExpectName(string name)
    {
        if (!SkipIfName(name))
        {
            throw Unexpected(name);
        }
    }

    private ChatTemplateException Unexpected(string expected) => Errors.Syntax(
        Current.Kind == TokenKind.Eof ? $"unexpected end of template, expected '{expected}'." : $"expected token '{expected}', got '{Current.Describe()}'",
        Current.Line);

    private void Enter()
    {
        if (++_nesting > MaxNesting || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw Errors.Syntax($"The template nests more than {MaxNesting} levels, or than the thread's stack allows.", Current.Line);
        }
    }

    private void Leave() => _nesting--;

    private void CheckChain(ref int length)
    {
        if (++length > MaxChain)
        {
            throw Errors.Syntax($"An expression chains more than {MaxChain} operators.", Current.Line);
        }
    }

    /// <summary>Parses up to a tag of <paramref name="endTags"/> (its name is then the current token) or, with null, the template's end.</summary>
    private List<Node> ParseUntil(string[]? endTags)
    {
        Enter();
        var body = new List<Node>();
        var output = new List<Node>();
        if (endTags is not null)
        {
            _awaited.Push(endTags);
        }

        while (true)
        {
            var token = Current;
            if (token.Kind == TokenKind.Data)
            {
                output.Add(new TemplateData(token.Text, token.Line));
                Next();
            }
            else if (token.Kind == TokenKind.VariableBegin)
            {
                Next();
                output.Add(ParseTuple());
                Expect(TokenKind.VariableEnd, "end of print statement");
            }
            else
            {
                if (output.Count > 0)
                {
                    body.Add(new Output(output, output[0].Line));
                    output = [];
                }

                if (token.Kind == TokenKind.Eof)
                {
                    return endTags is null ? body : throw NoSuchTag(null, token.Line);
                }

                Next();
                if (endTags is not null && Current.Kind == TokenKind.Name && endTags.Contains(Current.Text))
                {
                    _awaited.Pop();
                    Leave();
                    return body;
                }

                body.Add(ParseStatement());
                Expect(TokenKind.BlockEnd, "end of statement block");
            }
        }
    }

    /// <summary>A statement's body: from the end of its tag up to one of <paramref name="endTags"/>, which stays current.</summary>
    private List<Node> ParseStatements(params string[] endTags)
    {
        SkipIf(TokenKind.Colon);
        Expect(TokenKind.BlockEnd, "end of statement block");
        return ParseUntil(endTags);
    }

    private Body ParseBody(string endTag)
    {
        var body = new Body(ParseStatements(endTag));
        Next();
        return body;
    }

    /// <summary>A body that a loop around it cannot be left from.</summary>
    private Body ParseFunctionBody(string endTag)
    {
        var loops = _loops;
        _loops = 0;
        var body = ParseBody(endTag);
        _loops = loops;
        return body;
    }

    private LoopJump ParseJump(Token tag) => _loops > 0
        ? new LoopJump(tag.Text == "break", tag.Line)
        : throw Errors.Python($"'{tag.Text}' outside loop", tag.Line);

    private Node ParseStatement()
    {
        var token = Current;
        if (token.Kind != TokenKind.Name)
        {
            throw Errors.Syntax("tag name expected", token.Line);
        }

        _openTags.Push(token.Text);
        Next();
        var node = token.Text switch
        {
            "for" => ParseFor(token.Line),
            "if" => ParseIf(token.Line),
            "set" => ParseSet(token.Line),
            "macro" => ParseMacro(token.Line),
            "call" => ParseCallBlock(token.Line),
            "filter" => ParseFilterBlock(token.Line),
            "with" => ParseWith(token.Line),
            "block" => ParseBlock(token.Line),
            "autoescape" => new BlockNode(null, isScoped: true, ParseExpression(), ParseBody("endautoescape"), token.Line),
            "print" => ParsePrint(token.Line),
            "generation" => new Generation(ParseFunctionBody("endgeneration"), token.Line),
            "break" or "continue" => ParseJump(token),
            "include" or "extends" or "import" or "from" => ParseLoad(token),
            _ => null,
        };
        _openTags.Pop();
        return node ?? throw NoSuchTag(token.Text, token.Line);
    }

    private ChatTemplateException NoSuchTag(string? name, int line)
    {
        var reason = name is null ? "Unexpected end of template." : $"Encountered unknown tag '{name}'.";
        if (_awaited.TryPeek(out var awaited))
        {
            var looking = string.Join(" or ", awaited.Select(tag => $"'{tag}'"));
            reason += name is not null && _awaited.Any(tags => tags.Contains(name))
                ? $" You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for {looking}."
                : $" Jinja was looking for the following tags: {looking}.";
        }

        return Errors.Syntax(_openTags.TryPeek(out var open) ? $"{reason} The innermost block that needs to be closed is '{open}'." : reason, line);
    }
}
