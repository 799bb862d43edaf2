namespace Hone.Formats.ChatTemplates.Jinja;

internal sealed partial class Parser
{
    private For ParseFor(int line)
    {
        var target = ParseTarget(endsAtIn: true);
        ExpectName("in");
        var iterable = ParseTuple(withConditional: false, endName: "recursive");
        var test = SkipIfName("if") ? ParseExpression() : null;
        var isRecursive = SkipIfName("recursive");
        _loops++;
        var body = new Body(ParseStatements("endfor", "else"));
        _loops--;
        var otherwise = Next().Text == "else" ? ParseBody("endfor") : null;
        return new For(target, iterable, test, isRecursive, body, otherwise, line);
    }

    private If ParseIf(int line)
    {
        var branches = new List<(Node, List<Node>)>();
        while (true)
        {
            var test = ParseTuple(withConditional: false);
            branches.Add((test, ParseStatements("elif", "else", "endif")));
            var end = Next().Text;
            if (end == "elif")
            {
                continue;
            }

            return new If(branches, end == "else" ? ParseBody("endif").Statements : [], line);
        }
    }

    private Node ParseSet(int line)
    {
        var target = ParseTarget(withNamespace: true);
        if (SkipIf(TokenKind.Assign))
        {
            return new Assign(target, ParseTuple(), line);
        }

        var filter = (FilterNode?)ParseFilters(null);
        return new AssignBlock(target, filter, ParseBody("endset"), line);
    }

    private MacroNode ParseMacro(int line)
    {
        var name = ParseTargetName().Id;
        var (parameters, defaults) = ParseSignature();
        return new MacroNode(name, parameters, defaults, ParseFunctionBody("endmacro"), line);
    }

    private (List<Name> Parameters, List<Node> Defaults) ParseSignature()
    {
        var parameters = new List<Name>();
        var defaults = new List<Node>();
        Expect(TokenKind.LeftParen, "(");
        while (Current.Kind != TokenKind.RightParen)
        {
            if (parameters.Count > 0)
            {
                Expect(TokenKind.Comma, ",");
            }

            var parameter = ParseTargetName();
            if (SkipIf(TokenKind.Assign))
            {
                defaults.Add(ParseExpression());
            }
            else if (defaults.Count > 0)
            {
                throw Errors.Syntax("non-default argument follows default argument", Current.Line);
            }

            if (parameters.Any(other => other.Id == parameter.Id))
            {
                throw Errors.Python($"duplicate argument '{parameter.Id}' in function definition", parameter.Line);
            }

            parameters.Add(parameter);
        }

        Next();
        return (parameters, defaults);
    }

    private CallBlock ParseCallBlock(int line)
    {
        var (parameters, defaults) = Current.Kind == TokenKind.LeftParen ? ParseSignature() : ([], []);
        if (ParseExpression() is not CallNode call)
        {
            throw Errors.Syntax("expected call", line);
        }

        return new CallBlock(call, new MacroNode(null, parameters, defaults, ParseFunctionBody("endcall"), line), line);
    }

    private FilterBlock ParseFilterBlock(int line)
    {
        var filter = (FilterNode)ParseFilters(null, startsWithName: true)!;
        return new FilterBlock(filter, ParseBody("endfilter"), line);
    }

    private With ParseWith(int line)
    {
        var bindings = new List<(Node, Node)>();
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (bindings.Count > 0)
            {
                Expect(TokenKind.Comma, ",");
            }

            var target = ParseTarget();
            Expect(TokenKind.Assign, "=");
            bindings.Add((target, ParseExpression()));
        }

        return new With(bindings, ParseBody("endwith"), line);
    }

    private BlockNode ParseBlock(int line)
    {
        var name = Expect(TokenKind.Name, "name").Text;
        var isScoped = SkipIfName("scoped");
        SkipIfName("required");
        if (Current.Kind == TokenKind.Sub)
        {
            throw Errors.Syntax("Block names may not contain hyphens, use an underscore instead.", Current.Line);
        }

        if (!_blocks.Add(name))
        {
            throw Errors.Assertion($"block '{name}' defined twice", line);
        }

        var node = new BlockNode(name, isScoped, null, ParseFunctionBody("endblock"), line);
        SkipIfName(name);
        return node;
    }

    private Output ParsePrint(int line)
    {
        var parts = new List<Node>();
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (parts.Count > 0)
            {
                Expect(TokenKind.Comma, ",");
            }

            parts.Add(ParseExpression());
        }

        return new Output(parts, line);
    }

    private Load ParseLoad(Token tag)
    {
        var template = ParseExpression();
        var names = new List<string>();
        while (Current.Kind is TokenKind.Name or TokenKind.Comma)
        {
            names.Add(Next().Text);
        }

        return new Load(template, names, tag.Line);
    }
}
