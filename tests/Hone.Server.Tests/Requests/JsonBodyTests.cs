using System.Text;
using System.Text.Json;
using Hone.Server.Cloudflare;
using Hone.Server.Requests;

namespace Hone.Server.Tests.Requests;

public class JsonBodyTests
{
    [Theory]
    [InlineData("""{"a":"\ud800"}""", "line 1, byte 6: a text that is not UTF-8, or holds half of a surrogate pair")]
    [InlineData("{\n\"\\udc00b\":1}", "line 2, byte 1: a text")]
    [InlineData("""{"a":[{"b":"\ud83d x"}]}""", "line 1, byte 12: a text")]
    [InlineData("""{"a":"\ud83d\ude00","\u0061b":"\n"}""", null)]
    public void Parse_HalfOfASurrogatePair_SaysWhere(string body, string? expected)
    {
        string? malformed = JsonBody.Parse(Encoding.UTF8.GetBytes(body)).Malformed;
        if (expected is null)
            Assert.Null(malformed);
        else
            Assert.StartsWith(expected, malformed, StringComparison.Ordinal);
    }

    /// <summary>A short request must not have a long answer.</summary>
    [Theory]
    [InlineData("""{"messages":[{"role":"user","content":[ITEMS]}]}""", "1")]
    [InlineData("""{"messages":[ITEMS]}""", "1")]
    [InlineData("""{"messages":[ITEMS]}""", """{"role":"user","content":[1,1,1]}""")]
    public void Errors_OfManyItems_AreTwentyAtMost(string body, string item)
    {
        var fields = new BodyFields(JsonElement.Parse(body.Replace("ITEMS", string.Join(',', Enumerable.Repeat(item, 2_000)), StringComparison.Ordinal)));
        RunFields.Shape.Check(fields);
        Assert.Equal(20, fields.Errors.Count);
    }
}
