using System.Text.Json;

namespace Hone.Formats.Constraints;

/// <summary>
/// Schemas → rules. A rule stands for schemas that hold together (<c>$ref</c>, <c>allOf</c> and what stands beside them); a branch of <c>anyOf</c> or <c>oneOf</c> joins them as an alternative.
/// Sets of schemas that were met before have their rule already, which makes recursion end.
/// </summary>
internal sealed class SchemaRules
{
    private const int MostRules = 20_000;
    private const int MostLookUps = 200_000;
    private const long MostTested = 1_000_000;
    private const long MostEdges = 1_000_000;
    private const int DeepestAny = 16;
    private const int DeepestLookAhead = 40;

    private readonly Dictionary<string, Rule> _known = [];
    private readonly List<Rule> _rules = [];
    private readonly Queue<Action> _waiting = new();
    private readonly List<(Rule Both, string Path)> _overlaps = [];
    private readonly Dictionary<string, TextAutomaton> _automata = [];
    private readonly List<Rule> _any = [];
    private readonly HashSet<Rule> _unresolved = [];
    private int _depth;
    private int _lookUps;
    private long _tested; // values, each against each schema that holds beside its list
    private long _edges;

    /// <summary>A schema that holds; of its groups <c>anyOf</c> (1) and <c>oneOf</c> (2) so many are taken care of by branches that hold beside it.</summary>
    /// <param name="Schema">See above.</param>
    /// <param name="Handled">See above.</param>
    /// <param name="IsRead">Its formats are what a reader may take for them, not what is written.</param>
    private readonly record struct Part(Schema Schema, int Handled, bool IsRead = false)
    {
        /// <summary>What holds of a part of the value.</summary>
        public IEnumerable<Part> Within(Schema? part) => part is null ? [] : [new Part(part, 0, IsRead)];
    }

    /// <exception cref="SchemaException">It cannot be enforced, or nothing satisfies it.</exception>
    public static Rule Compile(JsonElement schema)
    {
        var rules = new SchemaRules();
        Rule root = rules.RuleOf([new Part(SchemaReader.Read(schema), 0)], "$");
        while (rules._waiting.TryDequeue(out Action? resolve))
            resolve();
        rules.FindSatisfiable();
        foreach ((Rule both, string path) in rules._overlaps)
        {
            if (both.IsSatisfiable)
                throw new SchemaException(path, "a value may satisfy two branches of oneOf, which cannot be excluded while it is written; use anyOf, or tell the branches apart by type or by a required property with a const");
        }
        return root.IsSatisfiable ? root : throw new SchemaException(Culprit(root).Path, "nothing satisfies the schema");
    }

    private Rule RuleOf(IEnumerable<Part> parts, string path)
    {
        if (++_lookUps > MostLookUps)
            throw new SchemaException(path, "the schema has too many combinations of anyOf, oneOf, allOf and properties; make it simpler");
        Dictionary<Schema, Part> together = Flatten(parts);
        if (together.Count == 0)
            return Any(0);
        string key = string.Join(',', together.Values.OrderBy(p => p.Schema.Id).Select(p => $"{p.Schema.Id}:{p.Handled}{(p.IsRead ? "r" : "")}"));
        if (_known.TryGetValue(key, out Rule? rule))
            return rule;
        _known.Add(key, rule = NewRule(together.MinBy(p => p.Key.Id).Key.Path ?? path));
        _unresolved.Add(rule);
        if (_depth >= DeepestLookAhead)
        {
            _waiting.Enqueue(() => ResolveNow(rule, together));
            return rule;
        }
        _depth++;
        ResolveNow(rule, together);
        _depth--;
        return rule;
    }

    private void ResolveNow(Rule rule, Dictionary<Schema, Part> together)
    {
        Resolve(rule, together);
        _unresolved.Remove(rule);
    }

    private Rule NewRule(string path)
    {
        if (_rules.Count >= MostRules)
            throw new SchemaException(path, $"the schema has more than {MostRules:N0} combinations of anyOf, oneOf and allOf; make it simpler");
        var rule = new Rule(path);
        _rules.Add(rule);
        return rule;
    }

    /// <summary>All that holds together; what says nothing by itself is left out.</summary>
    private static Dictionary<Schema, Part> Flatten(IEnumerable<Part> parts)
    {
        var together = new Dictionary<Schema, Part>();
        var work = new Stack<Part>(parts);
        while (work.TryPop(out Part part))
        {
            Schema schema = part.Schema;
            bool known = together.TryGetValue(schema, out Part before), isRead = part.IsRead && schema.HasFormat && (!known || before.IsRead);
            together[schema] = new Part(schema, Math.Max(before.Handled, part.Handled), isRead);
            if (known && before.IsRead == isRead)
                continue;
            foreach (Schema other in schema.Together)
                work.Push(new Part(other, 0, isRead));
        }
        foreach ((Schema schema, int handled, _) in together.Values.ToArray())
        {
            if (!SaysSomething(schema) && (handled > 0 || schema.AnyOf is null) && (handled > 1 || schema.OneOf is null))
                together.Remove(schema);
        }
        return together;
    }

    private static bool SaysSomething(Schema s) =>
        s.Never || s.Types != JsonTypes.All || s.Values is not null || s.Properties is not null || s.Required is not null || s.AdditionalProperties is not null || s.Names is not null || s.PrefixItems is not null
        || s.Items is not null || s.MinItems > 0 || s.MaxItems is not null || s.MinLength > 0 || s.MaxLength is not null || s.Pattern is not null || s.Format is not null || s.Minimum is not null || s.Maximum is not null;

    private void Resolve(Rule rule, Dictionary<Schema, Part> together)
    {
        if (together.Keys.Any(s => s.Never))
            return;
        Part[] parts = [.. together.Values.OrderBy(p => p.Schema.Id)];
        foreach (Part part in parts)
        {
            if (part.Handled < 1 && part.Schema.AnyOf is { } any)
            {
                Branch(rule, together, part with { Handled = 1 }, any);
                return;
            }
            if (part.Handled < 2 && part.Schema.OneOf is { } one)
            {
                if (!part.IsRead)
                    AddOverlaps(together, part with { Handled = 2 }, one);
                Branch(rule, together, part with { Handled = 2 }, one);
                return;
            }
        }
        JsonTypes types = parts.Aggregate(JsonTypes.All, (t, p) => t & p.Schema.Types);
        if (Array.Find(parts, p => p.Schema.Values is not null).Schema is { } listing)
        {
            if ((_tested += (long)listing.Values!.Count * parts.Length) > MostTested)
                throw new SchemaException(listing.Path, "its values are many, and so are the alternatives that each is held against; make one of them fewer");
            AddLiterals(rule, listing.Values!.Where(v => Array.TrueForAll(parts, p => SchemaValues.Satisfies(v, p.Schema, s => AutomatonOf(s, isRead: true), branches: false))));
        }
        else
            AddShapes(rule, types, parts);
    }

    private void Branch(Rule rule, Dictionary<Schema, Part> together, Part part, List<Schema> branches)
    {
        foreach (Schema branch in branches)
            rule.Alternatives.Add(RuleOf(With(together, part, part.Within(branch)), branch.Path));
    }

    /// <summary>No branch may write what a reader may take for another.</summary>
    private void AddOverlaps(Dictionary<Schema, Part> together, Part part, List<Schema> branches)
    {
        void Add(Schema written, Schema read) =>
            _overlaps.Add((RuleOf(With(together, part, new Part(written, 0), new Part(read, 0, IsRead: true)), part.Schema.Path), $"{part.Schema.Path}.oneOf"));
        for (int i = 0; i < branches.Count; i++)
        {
            for (int j = 0; j < i; j++)
            {
                Add(branches[i], branches[j]);
                if (branches[i].HasFormat || branches[j].HasFormat)
                    Add(branches[j], branches[i]);
            }
        }
    }

    private static IEnumerable<Part> With(Dictionary<Schema, Part> together, Part part, params IEnumerable<Part> branches) =>
        together.Values.Select(p => p.Schema == part.Schema ? part : p).Concat(branches);

    private static void AddLiterals(Rule rule, IEnumerable<JsonElement> values)
    {
        TextAutomaton automaton = TextAutomaton.Literals(values.Select(v => (IReadOnlyList<int>)[.. JsonBytes.Of(v).Select(b => (int)b)]));
        if (!automaton.IsEmpty)
            rule.Shapes.Add(new ValueShape.Literals(automaton));
    }

    private void AddShapes(Rule rule, JsonTypes types, Part[] parts)
    {
        if (types.HasFlag(JsonTypes.Null))
            AddLiterals(rule, [JsonElement.Parse("null")]);
        if (types.HasFlag(JsonTypes.Boolean))
            AddLiterals(rule, [JsonElement.Parse("true"), JsonElement.Parse("false")]);
        if ((types & JsonTypes.Number) != 0)
        {
            (Bound? least, Bound? most) = (null, null);
            foreach ((Schema schema, _, _) in parts)
                (least, most) = (SchemaReader.Tighter(least, schema.Minimum, upper: false), SchemaReader.Tighter(most, schema.Maximum, upper: true));
            TextAutomaton numbers = Cached($"n {types.HasFlag(JsonTypes.Fraction)} {least} {most}", () => NumberAutomaton.Of(!types.HasFlag(JsonTypes.Fraction), least, most));
            if (!numbers.IsEmpty)
                rule.Shapes.Add(new ValueShape.Number(numbers));
        }
        if (types.HasFlag(JsonTypes.String))
            AddText(rule, parts);
        if (types.HasFlag(JsonTypes.Array))
            AddList(rule, parts);
        if (types.HasFlag(JsonTypes.Object))
            AddMap(rule, parts);
    }

    private void AddText(Rule rule, Part[] parts)
    {
        (int least, int? most) = (parts.Max(p => p.Schema.MinLength), parts.Min(p => p.Schema.MaxLength));
        if (most < least)
            return;
        TextAutomaton automaton = parts.Aggregate(TextAutomaton.Any, (a, p) => AutomatonOf(p.Schema, p.IsRead) is { } own ? a.And(own, p.Schema.Path) : a);
        if (!ReferenceEquals(automaton, TextAutomaton.Any))
            (automaton, least) = (automaton.AtLeast(least, rule.Path), 0);
        if (!automaton.IsEmpty && !(most < automaton.ToEnd(0)))
            rule.Shapes.Add(new ValueShape.Text(automaton, least, automaton.Longest() <= most ? null : most));
    }

    /// <summary>Of a schema's pattern and format; null where it has neither.</summary>
    private TextAutomaton? AutomatonOf(Schema schema, bool isRead)
    {
        TextAutomaton? pattern = schema.Pattern is { } p ? Cached("p " + p, () => TextAutomaton.Matching(p, $"{schema.Path}.pattern")) : null;
        TextAutomaton? format = schema.Format is { } f ? Cached($"f {isRead} {f}", () => TextAutomaton.Matching(isRead ? StringFormats.Taken(f) : StringFormats.Written(f), $"{schema.Path}.format")) : null;
        return pattern is not null && format is not null ? Cached($"b {isRead} {schema.Id}", () => pattern.And(format, schema.Path)) : pattern ?? format;
    }

    private TextAutomaton Cached(string key, Func<TextAutomaton> make)
    {
        if (_automata.TryGetValue(key, out TextAutomaton? automaton))
            return automaton;
        _automata.Add(key, automaton = make());
        if ((_edges += automaton.Edges) > MostEdges)
            throw new SchemaException("$", $"the patterns, formats and limits of the schema take more than {MostEdges:N0} edges together; make them simpler");
        return automaton;
    }

    private void AddList(Rule rule, Part[] parts)
    {
        Schema[] schemas = [.. parts.Select(p => p.Schema)];
        (int least, int? most) = (schemas.Max(s => s.MinItems), schemas.Min(s => s.MaxItems));
        if (most < least)
            return;
        int first = Math.Min(schemas.Max(s => s.PrefixItems?.Count ?? 0), most ?? int.MaxValue);
        var firsts = new List<Rule>();
        for (int i = 0; i < first; i++)
        {
            Rule item = RuleOf(parts.SelectMany(p => p.Within(i < p.Schema.PrefixItems?.Count ? p.Schema.PrefixItems[i] : p.Schema.Items)), rule.Path);
            firsts.Add(item);
            if (IsDead(item) && i < least)
            {
                rule.Lacking = item;
                return;
            }
        }
        Rule others = RuleOf(parts.SelectMany(p => p.Within(p.Schema.Items)), rule.Path);
        if (IsDead(others) && firsts.Count < least)
            rule.Lacking = others;
        else
            rule.Shapes.Add(new ValueShape.List(firsts, others, least, most));
    }

    private void AddMap(Rule rule, Part[] parts)
    {
        Schema[] schemas = [.. parts.Select(p => p.Schema)];
        HashSet<string> required = [.. schemas.SelectMany(s => s.Required ?? [])];
        // Who names properties and says nothing of others means these.
        bool isOpen = Array.Exists(schemas, s => s.AdditionalProperties is not null) || Array.TrueForAll(schemas, s => s.Properties is null);
        List<string>? allowed = schemas.Select(s => s.Names).OfType<List<string>>().Aggregate((List<string>?)null, (all, own) => all is null ? own : [.. all.Intersect(own)]);
        if (allowed is not null && !required.IsSubsetOf(allowed))
            return;
        IEnumerable<string> listed = schemas.SelectMany(s => s.Properties ?? []).Select(p => p.Name).Concat(schemas.SelectMany(s => s.Required ?? []));
        if (allowed is not null)
        {
            // Few names: each is a member that may be there.
            listed = listed.Where(allowed.Contains).Concat(isOpen ? allowed : []);
            isOpen = false;
        }
        string[] names = [.. listed.Distinct()];
        var byName = parts.Select(p => (Part: p, Own: (p.Schema.Properties ?? []).ToDictionary(o => o.Name, o => o.Schema))).ToArray();
        var values = new Dictionary<string, Rule>();
        // What must be there first: where that cannot be, the rest need not be known.
        foreach (string name in names.OrderByDescending(required.Contains))
        {
            Rule value = RuleOf(byName.SelectMany(p => p.Part.Within(p.Own.GetValueOrDefault(name) ?? p.Part.Schema.AdditionalProperties)), rule.Path);
            if (IsDead(value) && required.Contains(name))
            {
                rule.Lacking = value;
                return;
            }
            values.Add(name, value);
        }
        Rule? others = isOpen ? RuleOf(parts.SelectMany(p => p.Within(p.Schema.AdditionalProperties)), rule.Path) : null;
        rule.Shapes.Add(new ValueShape.Map([.. names.Select(n => new Member(n, values[n], required.Contains(n)))], others, isOpen ? TextAutomaton.AllBut(names) : TextAutomaton.Any));
    }

    /// <summary>Any JSON value; lists and objects within it no deeper than readers like.</summary>
    private Rule Any(int depth)
    {
        while (_any.Count <= depth)
        {
            Rule rule = NewRule("$");
            _any.Add(rule);
            int level = _any.Count;
            AddShapes(rule, JsonTypes.All & ~JsonTypes.Array & ~JsonTypes.Object, [new Part(new Schema(-1, "$"), 0)]);
            if (level > DeepestAny)
                continue;
            Rule inner = Any(level);
            rule.Shapes.Add(new ValueShape.List([], inner, 0, null));
            rule.Shapes.Add(new ValueShape.Map([], inner, TextAutomaton.Any));
        }
        return _any[depth];
    }

    /// <summary>Known already that nothing satisfies it; a rule that is being resolved, or waits for it, is not.</summary>
    private bool IsDead(Rule rule) => rule is { Shapes.Count: 0, Alternatives.Count: 0 } && !_unresolved.Contains(rule);

    private void FindSatisfiable()
    {
        bool changed = true;
        while (changed)
        {
            changed = false;
            foreach (Rule rule in _rules)
            {
                if (rule.IsSatisfiable || !(rule.Alternatives.Exists(a => a.IsSatisfiable) || rule.Shapes.Exists(IsSatisfiable)))
                    continue;
                rule.IsSatisfiable = changed = true;
            }
        }
    }

    private static bool IsSatisfiable(ValueShape shape) => shape switch
    {
        ValueShape.List list => Enumerable.Range(0, Math.Min(list.Least, list.First.Count)).All(i => list.First[i].IsSatisfiable) && (list.Least <= list.First.Count || list.Others.IsSatisfiable),
        ValueShape.Map map => map.Members.All(m => !m.IsRequired || m.Value.IsSatisfiable),
        _ => true,
    };

    /// <summary>The innermost rule for want of which nothing satisfies a rule.</summary>
    private static Rule Culprit(Rule rule)
    {
        var seen = new HashSet<Rule>();
        while (seen.Add(rule))
        {
            Rule? next = rule.Alternatives.Count == 1 ? rule.Alternatives[0] : rule.Alternatives.Count > 0 || rule.Shapes.Count > 1 ? null : rule.Shapes.Count == 0 ? rule.Lacking : rule.Shapes[0] switch
            {
                ValueShape.Map map => map.Members.FirstOrDefault(m => m.IsRequired && !m.Value.IsSatisfiable)?.Value,
                ValueShape.List list => list.First.Take(list.Least).Append(list.Others).FirstOrDefault(r => !r.IsSatisfiable),
                _ => null,
            };
            if (next is null)
                break;
            rule = next;
        }
        return rule;
    }
}
