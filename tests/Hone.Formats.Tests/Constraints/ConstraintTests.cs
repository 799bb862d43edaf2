using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.Constraints;
using Hone.Formats.Gguf;
using Hone.Formats.Tokenizers;
using Json.Schema;

namespace Hone.Formats.Tests.Constraints;

/// <summary>Answers by random logits over the embedded base's vocabulary, held to schemas and judged by another validator.</summary>
public sealed class ConstraintTests(ConstraintTests.Vocabulary vocabulary) : IClassFixture<ConstraintTests.Vocabulary>
{
    private const int Schemas = 500;

    [Fact]
    public void Mask_RandomLogitsOnGeneratedSchemas_WhatStopsValidates()
    {
        var generator = new RandomSchema(20_261_128);
        var random = new Random(7);
        (int stopped, int answers, int refused) = (0, 0, 0);
        for (int i = 0; i < Schemas; i++)
        {
            JsonObject schema = generator.Next();
            Constraint constraint;
            try
            {
                constraint = Constraint.Json(JsonElement.Parse(schema.ToJsonString()), vocabulary.Tokens);
            }
            catch (SchemaException e) when (e.Message.Contains("nothing satisfies", StringComparison.Ordinal) || e.Message.Contains("two branches", StringComparison.Ordinal))
            {
                refused++;
                continue;
            }
            JsonSchema judge = JsonSchema.FromText(schema.ToJsonString());
            for (int k = 0; k < 3; k++)
            {
                answers++;
                (string text, bool complete) = Decode(constraint, random, 1500);
                if (!complete)
                    continue;
                stopped++;
                (JsonElement value, JsonElement read) = (default, default);
                try
                {
                    value = JsonElement.Parse(text, new JsonDocumentOptions { MaxDepth = 2000 });
                    read = JsonElement.Parse(WithDoubles(JsonNode.Parse(text))?.ToJsonString() ?? "null", new JsonDocumentOptions { MaxDepth = 2000 });
                }
                catch (JsonException e)
                {
                    throw new InvalidOperationException($"{schema.ToJsonString()} gave {text}", e);
                }
                AssertNamesDiffer(value);
                foreach (JsonElement judged in (ReadOnlySpan<JsonElement>)[value, read])
                    Assert.True(judge.Evaluate(judged, new EvaluationOptions { RequireFormatValidation = true }).IsValid, $"{schema.ToJsonString()}\ngave\n{text}");
            }
        }
        Assert.True(refused < Schemas / 10, $"{refused} schemas were refused");
        Assert.True(stopped > answers * 9 / 10, $"{stopped} of {answers} answers ended");
    }

    [Fact]
    public void Mask_OpenObject_NamesAreNeverRepeated()
    {
        // Short names of few letters: repeats would be the rule.
        Constraint constraint = Constraint.Json(JsonElement.Parse("""{"type":"object","properties":{"a":{"const":1}},"additionalProperties":{"const":1}}"""), vocabulary.Tokens);
        var random = new Random(3);
        int members = 0;
        for (int i = 0; i < 100; i++)
        {
            (string text, bool complete) = Decode(constraint, random, 400, vocabulary.Letters);
            Assert.True(complete, text);
            JsonElement value = JsonElement.Parse(text);
            AssertNamesDiffer(value);
            members += value.GetPropertyCount();
        }
        Assert.True(members > 150, $"{members} members");
    }

    [Theory]
    [InlineData("{\"x\":1,\"x", false)]
    [InlineData("{\"x\":1,\"y", true)]
    [InlineData("{\"x\":{\"y\":1},\"y", true)]
    [InlineData("{\"x\":{\"y\":1,\"x", true)]
    [InlineData("{\"x\":{\"y\":1},\"x", false)]
    [InlineData("{\"x\\\"\":1,\"x", true)]
    [InlineData("{\"x\\\"\":1,\"x\\\"", false)]
    public void Mask_BehindAName_AllowsItsEndWhereItIsNew(string text, bool isNew)
    {
        ConstraintState state = Constraint.Json(JsonElement.Parse("""{"type":"object"}"""), vocabulary.Tokens).Start();
        foreach (char c in text)
        {
            int token = vocabulary.TokenOf(c.ToString());
            Assert.True(state.Mask()[token], $"'{c}' of {text}");
            state.Accept(token);
        }
        TokenMask mask = state.Mask();
        Assert.Equal(isNew, mask[vocabulary.TokenOf("\"")]);
        Assert.Equal(isNew, mask[vocabulary.TokenOf("\":")]);
        Assert.True(mask[vocabulary.TokenOf("z")]);
    }

    [Theory]
    [InlineData("say {\"x\":1,\"x", true)]
    [InlineData("5\" of {x=[{\"x\":1,\"x", false)]
    [InlineData("5\" of {x=[{\"x\":1,\"y", true)]
    [InlineData("5\" of {x=[{\"x\":1},{\"x", true)]
    [InlineData("5\" of {x=[{\"x\":1},{\"x\":1,\"x", false)]
    [InlineData("5\" of {x=[{\"x\":1}] {\"x\":1,\"x", true)]
    public void Bug_QuotesInTextBeforeObjects_TurnedNamesInsideOut(string text, bool isNew)
    {
        Rule rule = SchemaRules.Compile(JsonElement.Parse("""{"type":"array","items":{"type":"object"}}"""));
        var constraint = new Constraint(vocabulary.Tokens, [rule], table => table.Sequence(table.Automaton(TextAutomaton.UpTo("="u8)), table.Of(rule), table.Automaton(TextAutomaton.NotBeginningWith([]))));
        ConstraintState state = constraint.Start();
        foreach (char c in text)
            state.Accept(vocabulary.TokenOf(c.ToString()));
        Assert.Equal(isNew, state.Mask()[vocabulary.TokenOf("\"")]);
    }

    private const string Long = "a_name_that_error_messages_show_only_the_first_sixty_letters_of";

    private const string OneBeginsAnother = """{"type":"object","properties":{"ab":{"const":1},"a":{"const":2},"abc":{"const":3},"abcd":false},"required":["a"]}""";
    private const string AlikeForLong = """{"type":"object","properties":{""" + "\"" + Long + """A":{"$ref":"#/$defs/""" + Long + """A"},""" + "\"" + Long + """B":{"$ref":"#/$defs/""" + Long + """B"}},"$defs":{""" + "\"" + Long
        + """A":{"const":1},""" + "\"" + Long + """B":{"const":"two"}}}""";

    [Theory]
    [InlineData("""{"type":"string","pattern":"^a{2}$"}""", "\"aa\"", true)]
    [InlineData("""{"type":"string","pattern":"^a{2}$"}""", "\"\\u0061a\"", true)]
    [InlineData("""{"type":"string","pattern":"^a{2}$"}""", "\"aaa\"", false)]
    [InlineData("""{"type":"string"}""", "\"\\ud83d\\ude00 ü 😀\"", true)]
    [InlineData("""{"type":"string"}""", "\"\\ud83d\"", false)]
    [InlineData("""{"type":"string"}""", "\"\\ude00\"", false)]
    [InlineData("""{"type":"string","maxLength":1}""", "\"😀\"", true)]
    [InlineData("""{"type":"string","maxLength":1}""", "\"\\uD83D\\uDE00\"", true)]
    [InlineData("""{"type":"string","maxLength":1}""", "\"ab\"", false)]
    [InlineData("""{"type":"string","minLength":2}""", "\"é\"", false)]
    [InlineData("""{"type":"string","format":"uri","maxLength":11}""", "\"http://a.bc\"", true)]
    [InlineData("""{"type":"string","format":"uri","maxLength":11}""", "\"http://a.bcd\"", false)]
    [InlineData("""{"type":"string","pattern":"^(ab|\\u00e9😀)+$","minLength":3,"maxLength":5}""", "\"ab\\u00e9\\ud83d\\ude00\"", true)]
    [InlineData("""{"type":"string","pattern":"^(ab|\\u00e9😀)+$","minLength":3,"maxLength":5}""", "\"ababab\"", false)]
    [InlineData("""{"type":"string","pattern":"^(ab|\\u00e9😀)+$","minLength":3,"maxLength":5}""", "\"ab\"", false)]
    [InlineData("""{"type":"integer","minimum":-5,"maximum":120}""", "120", true)]
    [InlineData("""{"type":"integer","minimum":-5,"maximum":120}""", "121", false)]
    [InlineData("""{"type":"integer","minimum":-5,"maximum":120}""", "-5", true)]
    [InlineData("""{"type":"integer","minimum":-5,"maximum":120}""", "-6", false)]
    [InlineData("""{"type":"integer","exclusiveMinimum":7}""", "7", false)]
    [InlineData("""{"type":"integer","exclusiveMinimum":7}""", "80000000", true)]
    [InlineData("""{"type":"number","minimum":0.25,"exclusiveMaximum":1}""", "0.25", true)]
    [InlineData("""{"type":"number","minimum":0.25,"exclusiveMaximum":1}""", "0.2499", false)]
    [InlineData("""{"type":"number","minimum":0.25,"exclusiveMaximum":1}""", "0.9999", true)]
    [InlineData("""{"type":"number","minimum":0.25,"exclusiveMaximum":1}""", "1", false)]
    [InlineData("""{"type":"number","exclusiveMaximum":-1.5}""", "-1.5", false)]
    [InlineData("""{"type":"number","exclusiveMaximum":-1.5}""", "-1.50001", true)]
    [InlineData("""{"type":"number","exclusiveMaximum":-1.5}""", "-1.05", false)]
    [InlineData("""{"type":"number","exclusiveMaximum":0}""", "-0", false)]
    [InlineData("""{"type":"number","exclusiveMaximum":0}""", "-0.0000000001", true)]
    [InlineData("""{"type":"number","minimum":0,"exclusiveMaximum":10000000}""", "9999999.9999999999", false)]
    [InlineData("""{"type":"number","minimum":0,"exclusiveMaximum":10000000}""", "9999999.99999999", true)]
    [InlineData("""{"type":"number","exclusiveMinimum":10000000,"maximum":10000000.5}""", "10000000.0000000001", false)]
    [InlineData("""{"type":"number","exclusiveMinimum":10000000,"maximum":10000000.5}""", "10000000.0000001", true)]
    [InlineData("""{"type":"integer","exclusiveMaximum":100000000000000000000}""", "99999999999999999999", false)]
    [InlineData("""{"type":"integer","maximum":9007199254740991}""", "9007199254740991", true)]
    [InlineData("""{"type":"integer","maximum":9007199254740991}""", "9007199254740992", false)]
    [InlineData("""{"properties":{"a":{"type":"null"},"b":{"type":"null"}},"required":["b"],"type":"object"}""", "{\"b\":null}", true)]
    [InlineData("""{"properties":{"a":{"type":"null"},"b":{"type":"null"}},"required":["b"],"type":"object"}""", "{\"a\": null, \"b\": null}", true)]
    [InlineData("""{"properties":{"a":{"type":"null"},"b":{"type":"null"}},"required":["b"],"type":"object"}""", "{\"a\":null}", false)]
    [InlineData("""{"properties":{"a":{"type":"null"},"b":{"type":"null"}},"required":["b"],"type":"object"}""", "{\"b\":null,\"a\":null}", false)]
    [InlineData("""{"properties":{"a":{"type":"null"}},"type":"object","additionalProperties":true}""", "{\"c\":[{\"x\":-1.5}],\"d\":\"\"}", true)]
    [InlineData("""{"properties":{"a":{"type":"null"}},"type":"object","additionalProperties":true}""", "{\"c\":1,\"a\":null}", false)]
    [InlineData("""{"anyOf":[{"$ref":"#"},{"type":"null"}]}""", "null", true)]
    [InlineData("""{"type":"array","items":{"$ref":"#"}}""", "[[],[[]]]", true)]
    [InlineData("""{"type":"array","prefixItems":[{"type":"null"}],"items":false}""", "[null]", true)]
    [InlineData("""{"type":"array","prefixItems":[{"type":"null"}],"items":false}""", "[null,null]", false)]
    [InlineData("""{"allOf":[{"minimum":3},{"maximum":5}],"type":"integer"}""", "4", true)]
    [InlineData("""{"allOf":[{"minimum":3},{"maximum":5}],"type":"integer"}""", "6", false)]
    [InlineData("""{"enum":[1,"1",null],"type":["string","null"]}""", "\"1\"", true)]
    [InlineData("""{"enum":[1,"1",null],"type":["string","null"]}""", "1", false)]
    [InlineData("""{"format":"date","type":"string"}""", "\"2024-02-29\"", true)]
    [InlineData("""{"format":"date","type":"string"}""", "\"2023-02-29\"", false)]
    [InlineData("true", "{\"any\":[1,{}]}", true)]
    [InlineData("""{"type":"array","items":[{"type":"null"}],"additionalItems":false}""", "[null]", true)]
    [InlineData("""{"type":"array","items":[{"type":"null"}],"additionalItems":false}""", "[null,null]", false)]
    [InlineData("""{"type":"array","items":[{"type":"null"}],"additionalItems":{"const":1}}""", "[null,1]", true)]
    [InlineData("""{"type":"array","items":[{"type":"null"}],"additionalItems":{"const":1}}""", "[null,2]", false)]
    [InlineData("""{"type":"object","propertyNames":{"type":"string"},"additionalProperties":{"const":1}}""", "{\"any\":1}", true)]
    [InlineData("""{"type":"object","propertyNames":{"enum":["a","b"]},"additionalProperties":{"const":1}}""", "{\"a\":1,\"b\":1}", true)]
    [InlineData("""{"type":"object","propertyNames":{"enum":["a","b"]},"additionalProperties":{"const":1}}""", "{\"b\":1}", true)]
    [InlineData("""{"type":"object","propertyNames":{"enum":["a","b"]},"additionalProperties":{"const":1}}""", "{\"c\":1}", false)]
    [InlineData("""{"type":"object","propertyNames":{"enum":["a","b"]},"additionalProperties":{"const":1},"required":["a"]}""", "{\"b\":1}", false)]
    [InlineData("""{"type":"object","properties":{"a":{"const":2},"c":{}},"propertyNames":{"enum":["a","b"]}}""", "{\"a\":2}", true)]
    [InlineData("""{"type":"object","properties":{"a":{"const":2},"c":{}},"propertyNames":{"enum":["a","b"]}}""", "{\"c\":2}", false)]
    [InlineData("""{"enum":[{"a":1},{"b":1}],"propertyNames":{"const":"a"}}""", "{\"a\":1}", true)]
    [InlineData("""{"enum":[{"a":1},{"b":1}],"propertyNames":{"const":"a"}}""", "{\"b\":1}", false)]
    [InlineData("""{"type":"string","format":"starts_with","pattern":"^ab.*"}""", "\"abc\"", true)]
    [InlineData("""{"type":"string","format":"starts_with","pattern":"^ab.*"}""", "\"bc\"", false)]
    [InlineData("""{"type":"string","format":"ends_with","allOf":[{"pattern":"^ab.*"},{"pattern":".*cd$"}]}""", "\"abcd\"", true)]
    [InlineData("""{"type":"string","format":"ends_with","allOf":[{"pattern":"^ab.*"},{"pattern":".*cd$"}]}""", "\"abc\"", false)]
    [InlineData("""{"format":"ipv6","type":"string"}""", "\"20010:db8::7334\"", false)]
    [InlineData("""{"format":"ipv6","type":"string"}""", "\"2001:db8::7334\"", true)]
    [InlineData("""{"format":"uri","type":"string"}""", "\"https://example.org/a?b=c#d\"", true)]
    [InlineData("""{"format":"uri","type":"string"}""", "\"example.org\"", false)]
    [InlineData("""{"format":"duration","type":"string"}""", "\"P2DT3H\"", true)]
    [InlineData("""{"format":"duration","type":"string"}""", "\"P2DT\"", false)]
    [InlineData("""{"format":"hostname","type":"string"}""", "\"a-b.example\"", true)]
    [InlineData("""{"format":"hostname","type":"string"}""", "\"-a.example\"", false)]
    [InlineData("""{"type":"object","properties":{"a\tb":{"const":1},"a b":{"const":"two"}},"additionalProperties":false}""", "{\"a\\tb\":1,\"a b\":\"two\"}", true)]
    [InlineData("""{"type":"object","properties":{"a\tb":{"const":1},"a b":{"const":"two"}},"additionalProperties":false}""", "{\"a\\tb\":1,\"a b\":1}", false)]
    [InlineData(AlikeForLong, "{\"" + Long + "A\":1,\"" + Long + "B\":\"two\"}", true)]
    [InlineData(AlikeForLong, "{\"" + Long + "A\":1,\"" + Long + "B\":1}", false)]
    [InlineData(OneBeginsAnother, "{\"ab\":1,\"a\":2,\"abc\":3}", true)]
    [InlineData(OneBeginsAnother, "{\"a\":2,\"abc\":3}", true)]
    [InlineData(OneBeginsAnother, "{\"a\":2,\"ab\":1}", false)]
    [InlineData(OneBeginsAnother, "{\"abc\":3}", false)]
    [InlineData(OneBeginsAnother, "{\"ab\":1}", false)]
    [InlineData(OneBeginsAnother, "{\"a\":2,\"abcd\":1}", false)]
    public void Accept_Text_IsTakenOrNot(string schema, string text, bool taken)
    {
        Rule rule = SchemaRules.Compile(JsonElement.Parse(schema));
        var table = new NodeTable();
        Node state = table.Of(rule);
        foreach (byte symbol in Encoding.UTF8.GetBytes(text))
            state = state.Next(symbol, table);
        Assert.Equal(taken, state.CanEnd);
    }

    [Theory]
    [InlineData("""{"type":"object","properties":{"a":{"items":{"multipleOf":2}}}}""", "$.properties.a.items.multipleOf: the keyword 'multipleOf' is not enforced")]
    [InlineData("""{"patternProperties":{}}""", "$.patternProperties")]
    [InlineData("""{"$defs":{"x":{"not":{}}},"$ref":"#/$defs/x"}""", "$.$defs.x.not")]
    [InlineData("""{"$ref":"#/$defs/y"}""", "leads nowhere")]
    [InlineData("""{"$ref":"https://example.com/a"}""", "only references within")]
    [InlineData("""{"type":"text"}""", "$.type: there is no type 'text'")]
    [InlineData("""{"format":"iri"}""", "$.format: the format 'iri'")]
    [InlineData("""{"format":"starts_with"}""", "$.format: the format 'starts_with'")]
    [InlineData("""{"additionalItems":false}""", "$.additionalItems: it has a meaning beside a list of items alone")]
    [InlineData("""{"propertyNames":{"pattern":"^a"}}""", "$.propertyNames.pattern: of names only")]
    [InlineData("""{"type":"object","propertyNames":{"enum":["a"]},"required":["b"]}""", "nothing satisfies")]
    [InlineData("""{"pattern":"(?=a)b"}""", "$.pattern")]
    [InlineData("""{"pattern":"(a)\\1"}""", "not regular")]
    [InlineData("""{"pattern":"a("}""", "has no ')'")]
    [InlineData("""{"items":[{}],"prefixItems":[{}]}""", "keep one of them")]
    [InlineData("""{"minItems":-1}""", "$.minItems")]
    [InlineData("""{"minItems":3000000000}""", "$.minItems: it is 3000000000, it must be an integer from 0 to 2,147,483,647")]
    [InlineData("""{"pattern":"^a**$"}""", "there is nothing before '*' to repeat")]
    [InlineData("""{"pattern":"^a{2}{3}$"}""", "there is nothing before '{' to repeat")]
    [InlineData("""{"format":"ends_with","allOf":[{"pattern":"^a"},{"pattern":"b$"}],"type":"string"}""", null)]
    [InlineData("""{"format":"ends_with","allOf":[{"minLength":1}],"type":"string"}""", "$.format: the format 'ends_with'")]
    [InlineData("""{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}""", "its references lead round in a circle")]
    [InlineData("""{"$ref":"#"}""", "$: its references lead round in a circle")]
    [InlineData("""{"properties":{"a":{"allOf":[{"type":"string"},{"$ref":"#/properties/a"}]}}}""", "$.properties.a: its references lead round in a circle")]
    [InlineData("""{"type":"integer","minimum":2,"maximum":1}""", "nothing satisfies")]
    [InlineData("""{"type":"string","format":"uri","maxLength":255}""", null)]
    [InlineData("""{"type":"string","format":"uri","maxLength":10}""", "nothing satisfies")]
    [InlineData("""{"type":"string","pattern":"^(aa)*$","minLength":3,"maxLength":3}""", "nothing satisfies")]
    [InlineData("""{"type":"string","format":"uri","minLength":2000}""", "$: its pattern or format and minLength together take more than 20,000 states")]
    [InlineData("""{"minimum":1e-30}""", "$.minimum: it is 1e-30, it must be one of at most 28 digits")]
    [InlineData("""{"maximum":0.00000000000000000000000000001}""", "$.maximum: it is 0.00000000000000000000000000001, it must be one of at most 28 digits")]
    [InlineData("""{"exclusiveMinimum":79228162514264337593543950335}""", "$.exclusiveMinimum: it is 79228162514264337593543950335, it must be one of at most 28 digits")]
    [InlineData("""{"minimum":1e-28,"maximum":2.50e3}""", null)]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string","pattern":"^a$","minLength":2}},"required":["a"]}""", "$.properties.a: nothing satisfies")]
    [InlineData("""{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}""", "nothing satisfies")]
    [InlineData("""{"oneOf":[{"type":"string"},{"type":"string","maxLength":3}]}""", "$.oneOf: a value may satisfy two branches")]
    [InlineData("""{"oneOf":[{"type":"object"},{"type":"object","required":["a"]}]}""", "$.oneOf")]
    [InlineData("""{"type":"string","oneOf":[{"format":"ipv4"},{"format":"hostname"}]}""", "$.oneOf: a value may satisfy two branches")]
    [InlineData("""{"type":"string","oneOf":[{"format":"uuid"},{"format":"hostname"}]}""", "$.oneOf: a value may satisfy two branches")]
    [InlineData("""{"type":"string","oneOf":[{"format":"hostname"},{"format":"duration"}]}""", "$.oneOf: a value may satisfy two branches")]
    [InlineData("""{"oneOf":[{"const":"ftp://a.b/"},{"type":"string","format":"uri"}]}""", "$.oneOf: a value may satisfy two branches")]
    [InlineData("""{"items":{"oneOf":[{"type":"array","items":{"type":"string","format":"hostname"}},{"type":"array","items":{"$ref":"#/$defs/a"},"minItems":1}]},"$defs":{"a":{"type":"string","format":"ipv4"}}}""", "$.items.oneOf: a value may satisfy two branches")]
    [InlineData("""{"type":"string","oneOf":[{"format":"email"},{"format":"uri"},{"format":"date"},{"format":"date-time"},{"format":"ipv4"}]}""", null)]
    [InlineData("""{"type":"string","oneOf":[{"oneOf":[{"format":"email"},{"format":"uri"}]},{"format":"date"}]}""", null)]
    [InlineData("""{"enum":["a@b"],"format":"email"}""", null)]
    [InlineData("""{"enum":["0001-01-01"],"format":"date"}""", null)]
    [InlineData("""{"enum":["0001-13-01"],"format":"date"}""", "nothing satisfies")]
    [InlineData("""{"enum":[1e-30],"maximum":0}""", "nothing satisfies")]
    [InlineData("""{"allOf":[{"enum":[1.0,{"a":1,"b":[2]}]},{"enum":[{"b":[2e0],"a":1}]}]}""", null)]
    [InlineData("""{"$ref":"#/$defs/sub","$defs":{"x":{"const":1},"sub":{"$id":"http://e/sub","properties":{"v":{"$ref":"#/$defs/x"}},"$defs":{"x":{"const":2}}}}}""", "$.$defs.sub.properties.v.$ref: '#/$defs/x' is a place within $.$defs.sub.$id's part")]
    [InlineData("""{"$ref":"#/$defs/sub/properties/v","$defs":{"x":{"const":1},"sub":{"$id":"http://e/sub","properties":{"v":{"$ref":"#/$defs/x"}}}}}""", "take that $id out")]
    [InlineData("""{"$id":"http://e/all","$ref":"#/$defs/sub","$defs":{"x":{"const":1},"sub":{"$id":"http://e/sub","const":2}}}""", null)]
    [InlineData("""{"pattern":"^((a?){100}){195}$"}""", "$.pattern: the pattern takes too much work")]
    [InlineData("""{"pattern":"^(a?){5000}$"}""", "$.pattern: the pattern takes too much work")]
    [InlineData("""{"pattern":"^([a-z]+ ?){1,60}$"}""", null)]
    [InlineData("false", "nothing satisfies")]
    [InlineData("5", "$: it is 5, it must be a schema")]
    [InlineData("""{"type":"string","title":"t","default":1,"examples":[],"$comment":"c","deprecated":true}""", null)]
    public void FindError_Schema_NamesKeywordAndPath(string schema, string? part)
    {
        string? error = ConstraintCheck.FindError(JsonElement.Parse(schema));
        if (part is null)
            Assert.Null(error);
        else
            Assert.Contains(part, error, StringComparison.Ordinal);
    }

    /// <summary>A token takes 1 ms at most as a rule, compiling 300 ms at best of three: a busy machine lengthens single ones.</summary>
    [Fact]
    public void Json_HundredProperties_CompilesAndMasksInTime()
    {
        var properties = new JsonObject();
        for (int i = 0; i < 100; i++)
            properties[$"property_{i}"] = JsonNode.Parse((i % 4) switch { 0 => """{"type":"string","maxLength":80}""", 1 => $$"""{"type":"integer","minimum":{{i}},"maximum":9007199254740991}""", 2 => """{"enum":["a","b","c"]}""", _ => """{"type":"array","items":{"type":"string","format":"date"}}""" });
        JsonElement schema = JsonElement.Parse(new JsonObject { ["type"] = "object", ["properties"] = properties, ["required"] = new JsonArray([.. properties.Select(p => (JsonNode)p.Key)]) }.ToJsonString());
        double compiled = double.MaxValue;
        Constraint? constraint = null;
        for (int i = 0; i < 3; i++)
        {
            long began = Stopwatch.GetTimestamp();
            constraint = Constraint.Json(schema, vocabulary.Tokens);
            constraint.Start().Mask();
            compiled = Math.Min(compiled, Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
        ConstraintState state = constraint!.Start();
        var random = new Random(1);
        var tokens = new List<double>();
        while (tokens.Count < 300 && !state.MustEnd)
        {
            long began = Stopwatch.GetTimestamp();
            TokenMask mask = state.Mask();
            double taken = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
            int token = Draw(mask, random, vocabulary.Closing);
            if (vocabulary.Stops.Contains(token))
                break;
            began = Stopwatch.GetTimestamp();
            state.Accept(token);
            tokens.Add(taken + Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
        Assert.True(tokens.Count > 100, $"{tokens.Count} tokens");
        Assert.True(compiled <= 300, $"compiled in {compiled:f0} ms");
        Assert.True(tokens.Order().ElementAt(tokens.Count / 2) <= 1, $"{tokens.Order().ElementAt(tokens.Count / 2):f2} ms a token");
    }

    /// <summary>A state is one of the names that may come, not of all of them one by one: as many states for ten times the members.</summary>
    [Fact]
    public void Bug_ObjectOfManyOptionalMembers_WasAChoiceOfAll()
    {
        Assert.InRange(States(2000), 1, 2 * States(200));

        int States(int members)
        {
            var properties = new JsonObject();
            for (int i = 0; i < members; i++)
                properties[$"member_{i}"] = JsonNode.Parse("""{"type":"null"}""");
            JsonElement schema = JsonElement.Parse(new JsonObject { ["type"] = "object", ["properties"] = properties }.ToJsonString());
            ConstraintState state = Constraint.Json(schema, vocabulary.Tokens).Start();
            foreach (string text in new[] { "{", "\"", "member", "_", "1", "2", "\":", "null", ",", "\"" })
            {
                state.Mask();
                state.Accept(vocabulary.TokenOf(text));
            }
            return state.Table.Count;
        }
    }

    /// <summary>What would take minutes is refused, and soon.</summary>
    [Fact]
    public void Bug_FewBytesOfSchema_TookMinutes()
    {
        var values = new JsonArray([.. Enumerable.Range(0, 2000).Select(i => (JsonNode)i)]);
        var ranges = new JsonArray([.. Enumerable.Range(0, 80).Select(i => (JsonNode)new JsonObject { ["minimum"] = 25 * i, ["maximum"] = 25 * i + 24 })]);
        var alternatives = new JsonObject { ["enum"] = values, ["oneOf"] = ranges };
        foreach ((string schema, string part) in new[] { (alternatives.ToJsonString(), "its values are many"), ("{\"enum\":[\"" + new string('x', 300_000) + "\"]}", "more than 256 KiB"), ("""{"pattern":"^(a?){3000}$"}""", "too much work") })
        {
            long began = Stopwatch.GetTimestamp();
            Assert.Contains(part, ConstraintCheck.FindError(JsonElement.Parse(schema)), StringComparison.Ordinal);
            Assert.True(Stopwatch.GetElapsedTime(began).TotalSeconds < 10, schema[..Math.Min(schema.Length, 60)]);
        }
    }

    /// <summary>Of single strings, and of two lists that hold together.</summary>
    [Theory]
    [InlineData(9_990, 0)]
    [InlineData(5_000, 5_000)]
    public void FindError_ManyValues_IsFoundInTime(int values, int others)
    {
        static JsonObject Enum(int count) => new() { ["enum"] = new JsonArray([.. Enumerable.Range(0, count).Select(i => (JsonNode)new JsonObject { ["name"] = $"value {i}" })]) };
        JsonObject schema = Enum(values);
        if (others > 0)
            schema["allOf"] = new JsonArray(Enum(others));
        JsonElement written = JsonElement.Parse(schema.ToJsonString());
        double taken = double.MaxValue;
        for (int i = 0; i < 3; i++)
        {
            long began = Stopwatch.GetTimestamp();
            Assert.Null(ConstraintCheck.FindError(written));
            taken = Math.Min(taken, Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
        Assert.True(taken <= 1000, $"{taken:f0} ms");
    }

    /// <summary>An answer of random tokens, in which what closes a value, or others, are likelier than the rest.</summary>
    private (string Text, bool Complete) Decode(Constraint constraint, Random random, int most, int[]? liked = null)
    {
        ConstraintState state = constraint.Start();
        var bytes = new List<byte>();
        for (int i = 0; i < most && !state.MustEnd; i++)
        {
            TokenMask mask = state.Mask();
            Assert.True(mask.Count > 0, Encoding.UTF8.GetString([.. bytes]));
            int best = Draw(mask, random, liked ?? vocabulary.Closing);
            if (vocabulary.Stops.Contains(best))
            {
                Assert.True(state.CanEnd);
                return (Encoding.UTF8.GetString([.. bytes]), true);
            }
            bytes.AddRange(vocabulary.Tokens.BytesOf(best));
            state.Accept(best);
        }
        return (Encoding.UTF8.GetString([.. bytes]), state.MustEnd);
    }

    private int Draw(TokenMask mask, Random random, int[] liked)
    {
        int[] possible = random.Next(10) < 6 ? [.. liked.Where(t => mask[t])] : [];
        if (possible.Length > 0)
            return possible[random.Next(possible.Length)];
        int token = random.Next(vocabulary.Tokens.Size);
        while (!mask[token])
            token = (token + 1) % vocabulary.Tokens.Size;
        return token;
    }

    /// <summary>As a reader sees it whose numbers are doubles.</summary>
    private static JsonNode? WithDoubles(JsonNode? value) => value switch
    {
        JsonObject members => new JsonObject(members.Select(m => KeyValuePair.Create(m.Key, WithDoubles(m.Value)))),
        JsonArray items => new JsonArray([.. items.Select(WithDoubles)]),
        JsonValue number when number.GetValueKind() is JsonValueKind.Number => JsonValue.Create(double.Parse(number.ToJsonString(), CultureInfo.InvariantCulture)),
        _ => value?.DeepClone(),
    };

    private static void AssertNamesDiffer(JsonElement value)
    {
        if (value.ValueKind is JsonValueKind.Object)
        {
            string[] names = [.. value.EnumerateObject().Select(m => m.Name)];
            Assert.Equal(names.Distinct(), names);
            foreach (JsonProperty member in value.EnumerateObject())
                AssertNamesDiffer(member.Value);
        }
        else if (value.ValueKind is JsonValueKind.Array)
        {
            foreach (JsonElement item in value.EnumerateArray())
                AssertNamesDiffer(item);
        }
    }

    public sealed class Vocabulary
    {
        public Vocabulary()
        {
            using GgufFile file = GgufFile.Open(References.EmbeddedBase);
            var tokenizer = Tokenizer.FromGguf(file);
            int[] stops = [tokenizer.TokenId("<|im_end|>")!.Value];
            Tokens = new TokenVocabulary(tokenizer, stops);
            Stops = [.. stops];
            Closing = [.. Stops, .. Enumerable.Range(0, tokenizer.VocabularySize).Where(id => Encoding.UTF8.GetString(tokenizer.BytesOf(id)) is "\"" or "\"}" or "}" or "]" or "]}" or "\"]" or "\"," or "\":" or "," or ":")];
            Letters = [.. Enumerable.Range(0, tokenizer.VocabularySize).Where(id => tokenizer.BytesOf(id) is { Length: > 0 } bytes && bytes.All(b => b is (byte)'"' or (byte)'a' or (byte)'b' or (byte)',' or (byte)':' or (byte)'1' or (byte)'{' or (byte)'}'))];
        }

        internal TokenVocabulary Tokens { get; }

        internal HashSet<int> Stops { get; }

        internal int TokenOf(string text) => Enumerable.Range(0, Tokens.Size).First(id => Tokens.BytesOf(id).SequenceEqual(Encoding.UTF8.GetBytes(text)));

        internal int[] Closing { get; }

        internal int[] Letters { get; }
    }
}
