using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

internal sealed partial class Parser
{
    private Node ParsePostfix(Node node)
    {
        var chain = 0;
        while (true)
        {
            CheckChain(ref chain);
            switch (Current.Kind)
            {
                case TokenKind.Dot:
                    node = ParseAttribute(node);
                    break;
                case TokenKind.LeftBracket:
                    node = ParseItem(node);
                    break;
                case TokenKind.LeftParen:
                    node = ParseCall(node);
                    break;
                default:
                    return node;
            }
        }
    }

    private Node ParseFiltersAndTests(Node node)
    {
        var chain = 0;
        while (true)
        {
            CheckChain(ref chain);
            if (Current.Kind == TokenKind.Pipe)
            {
                node = ParseFilters(node)!;
            }
            else if (Current.IsName("is"))
            {
                node = ParseTest(node);
            }
            else if (Current.Kind == TokenKind.LeftParen)
            {
                node = ParseCall(node);
            }
            else
            {
                return node;
            }
        }
    }

    private Node ParseAttribute(Node owner)
    {
        var line = Next().Line;
        var token = Next();
        return token.Kind switch
        {
            TokenKind.Name => new Attribute(owner, token.Text, line),
            TokenKind.Integer => new Item(owner, new Const(token.Value, token.Line), line),
            _ => throw Errors.Syntax("expected name or number", token.Line),
        };
    }

    private Item ParseItem(Node owner)
    {
        var line = Next().Line;
        var keys = new List<Node>();
        while (Current.Kind != TokenKind.RightBracket)
        {
            if (keys.Count > 0)
            {
                Expect(TokenKind.Comma, ",");
            }

            keys.Add(ParseSubscript());
        }

        Next();
        return new Item(owner, keys.Count == 1 ? keys[0] : new TupleNode(keys, line), line);
    }

    private Node ParseSubscript()
    {
        var line = Current.Line;
        Node? start = null;
        if (Current.Kind != TokenKind.Colon)
        {
            start = ParseExpression();
            if (Current.Kind != TokenKind.Colon)
            {
                return start;
            }
        }

        Next();
        var stop = Current.Kind is TokenKind.Colon or TokenKind.RightBracket or TokenKind.Comma ? null : ParseExpression();
        var step = SkipIf(TokenKind.Colon) && Current.Kind is not (TokenKind.RightBracket or TokenKind.Comma) ? ParseExpression() : null;
        return new Slice(start, stop, step, line);
    }

    private CallNode ParseCall(Node callee)
    {
        var line = Current.Line;
        return new CallNode(callee, ParseArguments(), line);
    }

    private ArgumentNodes ParseArguments()
    {
        var line = Expect(TokenKind.LeftParen, "(").Line;
        var arguments = new ArgumentNodes();
        void Ensure(bool isValid)
        {
            if (!isValid)
            {
                throw Errors.Syntax("invalid syntax for function call expression", line);
            }
        }

        var needsComma = false;
        while (Current.Kind != TokenKind.RightParen)
        {
            if (needsComma)
            {
                Expect(TokenKind.Comma, ",");
                if (Current.Kind == TokenKind.RightParen)
                {
                    break;
                }
            }

            needsComma = true;
            if (SkipIf(TokenKind.Mul))
            {
                Ensure(arguments.MorePositional is null && arguments.MoreKeywords is null);
                arguments.MorePositional = ParseExpression();
            }
            else if (SkipIf(TokenKind.Pow))
            {
                Ensure(arguments.MoreKeywords is null);
                arguments.MoreKeywords = ParseExpression();
            }
            else if (Current.Kind == TokenKind.Name && Look().Kind == TokenKind.Assign)
            {
                Ensure(arguments.MoreKeywords is null);
                var name = Next().Text;
                Next();
                if (arguments.Keywords.Exists(other => other.Name == name))
                {
                    throw Errors.Python($"keyword argument repeated: {name}", line);
                }

                arguments.Keywords.Add((name, ParseExpression()));
            }
            else
            {
                Ensure(arguments.MorePositional is null && arguments.MoreKeywords is null && arguments.Keywords.Count == 0);
                arguments.Positional.Add(ParseExpression());
            }
        }

        Next();
        return arguments;
    }

    private Node? ParseFilters(Node? node, bool startsWithName = false)
    {
        var chain = 0;
        while (startsWithName || Current.Kind == TokenKind.Pipe)
        {
            CheckChain(ref chain);
            if (!startsWithName)
            {
                Next();
            }

            startsWithName = false;
            var line = Current.Line;
            var name = ParseDottedName();
            node = new FilterNode(node, name, Current.Kind == TokenKind.LeftParen ? ParseArguments() : ArgumentNodes.None, line);
        }

        return node;
    }

    private string ParseDottedName()
    {
        var name = Expect(TokenKind.Name, "name").Text;
        if (Current.Kind != TokenKind.Dot)
        {
            return name;
        }

        var dotted = new StringBuilder(name);
        while (SkipIf(TokenKind.Dot))
        {
            dotted.Append('.').Append(Expect(TokenKind.Name, "name").Text);
        }

        return dotted.ToString();
    }

    private Node ParseTest(Node operand)
    {
        var line = Next().Line;
        var isNegated = SkipIfName("not");
        var name = ParseDottedName();
        var arguments = ArgumentNodes.None;
        if (Current.Kind == TokenKind.LeftParen)
        {
            arguments = ParseArguments();
        }
        else if (Current.Kind is TokenKind.Name or TokenKind.String or TokenKind.Integer or TokenKind.Float or TokenKind.LeftBracket or TokenKind.LeftBrace
            && !(Current.IsName("else") || Current.IsName("or") || Current.IsName("and")))
        {
            if (Current.IsName("is"))
            {
                throw Errors.Syntax("You cannot chain multiple tests with is", Current.Line);
            }

            arguments = new ArgumentNodes();
            arguments.Positional.Add(ParsePostfix(ParsePrimary(withNamespace: false)));
        }

        Node node = new TestNode(operand, name, arguments, line);
        return isNegated ? new Not(node, line) : node;
    }
}
