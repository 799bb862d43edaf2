namespace Hone.Formats.ChatTemplates.Jinja;

internal sealed partial class Parser
{
    private Name ParseTargetName()
    {
        var token = Expect(TokenKind.Name, "name");
        return IsConstant(token.Text)
            ? throw Errors.Syntax($"can't assign to 'name'", token.Line)
            : new Name(token.Text, isTarget: true, token.Line);
    }

    private static bool IsConstant(string name) => name is "true" or "false" or "none" or "True" or "False" or "None";

    private Node ParseTarget(bool endsAtIn = false, bool withNamespace = false) =>
        AsTarget(ParseTuple(isTarget: true, endName: endsAtIn ? "in" : null, withNamespace: withNamespace));

    private static Node AsTarget(Node node) => node switch
    {
        Name name => new Name(name.Id, isTarget: true, name.Line),
        NamespaceTarget => node,
        TupleNode tuple => new TupleNode(tuple.Items.ConvertAll(AsTarget), tuple.Line),
        _ => throw Errors.Syntax($"can't assign to '{node.GetType().Name.Replace("Node", "", StringComparison.Ordinal).ToLowerInvariant()}'", node.Line),
    };

    /// <summary>One expression, or a tuple where commas follow; the tuple may end with a comma.</summary>
    private Node ParseTuple(
        bool withConditional = true, string? endName = null, bool isParenthesized = false, bool isTarget = false, bool withNamespace = false)
    {
        var line = Current.Line;
        var items = new List<Node>();
        var isTuple = false;
        while (true)
        {
            if (items.Count > 0)
            {
                Expect(TokenKind.Comma, ",");
            }

            if (Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd or TokenKind.RightParen || (endName is not null && Current.IsName(endName)))
            {
                break;
            }

            items.Add(isTarget ? ParsePrimary(withNamespace) : ParseExpression(withConditional));
            if (Current.Kind != TokenKind.Comma)
            {
                break;
            }

            isTuple = true;
            line = Current.Line;
        }

        if (!isTuple && items.Count > 0)
        {
            return items[0];
        }

        return isTuple || isParenthesized
            ? new TupleNode(items, line)
            : throw Errors.Syntax($"Expected an expression, got '{Current.Describe()}'", Current.Line);
    }

    private Node ParseExpression(bool withConditional = true)
    {
        Enter();
        var node = withConditional ? ParseConditional() : ParseOr();
        Leave();
        return node;
    }

    private Node ParseConditional()
    {
        var line = Current.Line;
        var node = ParseOr();
        var chain = 0;
        while (SkipIfName("if"))
        {
            CheckChain(ref chain);
            var test = ParseOr();
            Node? otherwise = null;
            if (SkipIfName("else"))
            {
                Enter();
                otherwise = ParseConditional();
                Leave();
            }

            node = new Conditional(test, node, otherwise, line);
            line = Current.Line;
        }

        return node;
    }

    private Node ParseOr()
    {
        var line = Current.Line;
        var left = ParseAnd();
        var chain = 0;
        while (SkipIfName("or"))
        {
            CheckChain(ref chain);
            left = new Logical(isAnd: false, left, ParseAnd(), line);
            line = Current.Line;
        }

        return left;
    }

    private Node ParseAnd()
    {
        var line = Current.Line;
        var left = ParseNot();
        var chain = 0;
        while (SkipIfName("and"))
        {
            CheckChain(ref chain);
            left = new Logical(isAnd: true, left, ParseNot(), line);
            line = Current.Line;
        }

        return left;
    }

    private Node ParseNot()
    {
        if (!Current.IsName("not"))
        {
            return ParseCompare();
        }

        Enter();
        var line = Next().Line;
        var node = new Not(ParseNot(), line);
        Leave();
        return node;
    }

    private Node ParseCompare()
    {
        var line = Current.Line;
        var first = ParseSum();
        List<(Comparison, Node)>? rest = null;
        while (ComparisonHere() is { } comparison)
        {
            (rest ??= []).Add((comparison, ParseSum()));
            line = Current.Line;
        }

        return rest is null ? first : new Compare(first, rest, line);
    }

    private Comparison? ComparisonHere()
    {
        Comparison? comparison = Current.Kind switch
        {
            TokenKind.Eq => Comparison.Equal,
            TokenKind.Ne => Comparison.NotEqual,
            TokenKind.Gt => Comparison.Greater,
            TokenKind.GtEq => Comparison.GreaterOrEqual,
            TokenKind.Lt => Comparison.Less,
            TokenKind.LtEq => Comparison.LessOrEqual,
            TokenKind.Name when Current.Text == "in" => Comparison.In,
            TokenKind.Name when Current.Text == "not" && Look().IsName("in") => Comparison.NotIn,
            _ => null,
        };
        if (comparison is not null)
        {
            Next();
        }

        if (comparison == Comparison.NotIn)
        {
            Next();
        }

        return comparison;
    }

    private Node ParseSum() => ParseBinary(ParseConcat, TokenKind.Add, TokenKind.Sub);

    private Node ParseConcat()
    {
        var line = Current.Line;
        var first = ParseProduct();
        if (Current.Kind != TokenKind.Tilde)
        {
            return first;
        }

        var parts = new List<Node> { first };
        while (SkipIf(TokenKind.Tilde))
        {
            parts.Add(ParseProduct());
        }

        return new Concat(parts, line);
    }

    private Node ParseProduct() => ParseBinary(ParsePower, TokenKind.Mul, TokenKind.Div, TokenKind.FloorDiv, TokenKind.Mod);

    /// <summary>Powers group to the left, unlike Python's.</summary>
    private Node ParsePower() => ParseBinary(() => ParseUnary(), TokenKind.Pow);

    private Node ParseBinary(Func<Node> operand, params ReadOnlySpan<TokenKind> operators)
    {
        var line = Current.Line;
        var left = operand();
        var chain = 0;
        while (operators.Contains(Current.Kind))
        {
            CheckChain(ref chain);
            left = new Binary(Next().Kind, left, operand(), line);
            line = Current.Line;
        }

        return left;
    }

    private Node ParseUnary(bool withFilters = true)
    {
        var token = Current;
        Node node;
        if (token.Kind is TokenKind.Sub or TokenKind.Add)
        {
            Enter();
            Next();
            node = new Sign(token.Kind == TokenKind.Sub, ParseUnary(withFilters: false), token.Line);
            Leave();
        }
        else
        {
            node = ParsePrimary(withNamespace: false);
        }

        node = ParsePostfix(node);
        if (withFilters)
        {
            node = ParseFiltersAndTests(node);
        }

        return node;
    }

    private Node ParsePrimary(bool withNamespace)
    {
        var token = Next();
        switch (token.Kind)
        {
            case TokenKind.Name when token.Text is "true" or "True":
                return new Const(true, token.Line);
            case TokenKind.Name when token.Text is "false" or "False":
                return new Const(false, token.Line);
            case TokenKind.Name when token.Text is "none" or "None":
                return new Const(null, token.Line);
            case TokenKind.Name when withNamespace && SkipIf(TokenKind.Dot):
                return new NamespaceTarget(token.Text, Expect(TokenKind.Name, "name").Text, token.Line);
            case TokenKind.Name:
                return new Name(token.Text, isTarget: false, token.Line);
            case TokenKind.String:
                var text = token.Text;
                if (Current.Kind == TokenKind.String)
                {
                    var parts = new List<string> { text };
                    while (Current.Kind == TokenKind.String)
                    {
                        parts.Add(Next().Text);
                    }

                    text = string.Concat(parts);
                }

                return new Const(text, token.Line);
            case TokenKind.Integer or TokenKind.Float:
                return new Const(token.Value, token.Line);
            case TokenKind.LeftParen:
                var tuple = ParseTuple(isParenthesized: true);
                Expect(TokenKind.RightParen, ")");
                return tuple;
            case TokenKind.LeftBracket:
                return ParseList(token.Line);
            case TokenKind.LeftBrace:
                return ParseDict(token.Line);
            default:
                throw Errors.Syntax($"unexpected '{token.Describe()}'", token.Line);
        }
    }

    private ListNode ParseList(int line)
    {
        var items = new List<Node>();
        while (Current.Kind != TokenKind.RightBracket)
        {
            if (items.Count > 0)
            {
                Expect(TokenKind.Comma, ",");
            }

            if (Current.Kind == TokenKind.RightBracket)
            {
                break;
            }

            items.Add(ParseExpression());
        }

        Next();
        return new ListNode(items, line);
    }

    private DictNode ParseDict(int line)
    {
        var items = new List<(Node, Node)>();
        while (Current.Kind != TokenKind.RightBrace)
        {
            if (items.Count > 0)
            {
                Expect(TokenKind.Comma, ",");
            }

            if (Current.Kind == TokenKind.RightBrace)
            {
                break;
            }

            var key = ParseExpression();
            Expect(TokenKind.Colon, ":");
            items.Add((key, ParseExpression()));
        }

        Next();
        return new DictNode(items, line);
    }
}
