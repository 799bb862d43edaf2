using System.Text;
using System.Text.Json.Nodes;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>Random conversations: what is learnt of a rendered row is the assistant's tokens with the token that ends them, and nothing else.</summary>
public sealed class RowEncoderPropertyTests(SmolLm2Rows rows) : IClassFixture<SmolLm2Rows>
{
    private const int Conversations = 400;

    private const string Marks = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}{{ '\n' }}{% endfor %}"
        + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    private const string NoMarks = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{{ '\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    // Pieces that meet in odd ways: signs of the template, the words of roles, letters of several code points, white space.
    private static readonly string[] Pieces =
        ["assistant", "user\n", "Yes", " no", "\n", "\n\n", "  ", "\t", "{\"a\": 1}", "👩‍👩‍👧", "é", "e\u0301", "日本", "im_end", "<|", "|>", ".", "?!", "1234", " the", "\u00a0", "ß", "🙂"];

    [Theory]
    [InlineData(null)]
    [InlineData(Marks)]
    [InlineData(NoMarks)]
    public void Encode_RandomConversations_LearnTheAssistantsTokensAndNoOthers(string? template)
    {
        var random = new Random(20);
        int exact = 0;
        for (int n = 0; n < Conversations; n++)
        {
            var messages = new JsonArray();
            var expected = new StringBuilder(template is null ? SmolLm2Rows.System : "");
            for (int turn = 0, turns = random.Next(1, 5); turn < turns; turn++)
            {
                (string question, string answer) = (Text(random), Text(random));
                bool learnt = turn == turns - 1 || random.Next(4) > 0;
                messages.Add(new JsonObject { ["role"] = "user", ["content"] = question });
                messages.Add(new JsonObject { ["role"] = "assistant", ["content"] = answer, ["weight"] = learnt ? 1 : 0 });
                expected.Append($"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n");
                expected.Append(learnt ? $"⟦{answer}<|im_end|>⟧\n" : $"{answer}<|im_end|>\n");
            }

            var encoding = rows.Encode(new JsonObject { ["messages"] = messages }.ToJsonString(), template: template);

            Assert.Empty(encoding.Errors);
            string marked = rows.Marked(Assert.Single(encoding.Rows));
            if (encoding.Warnings.Count == 0)
            {
                Assert.Equal(expected.ToString(), marked);
                exact++;
                continue;
            }
            // A token that is prompt and answer at once is not learnt, and said so: the text stays the same, and what is learnt lies within the answers.
            Assert.All(encoding.Warnings, w => Assert.Equal("token_across_boundary", w.Code));
            Assert.Equal(MarkedText.Plain(expected.ToString()), MarkedText.Plain(marked));
            Assert.Subset(MarkedText.Learnt(expected.ToString()), MarkedText.Learnt(marked));
        }
        Assert.InRange(exact, Conversations / 2, Conversations - 1);
    }

    /// <summary>Not blank: an answer of white space is refused.</summary>
    private static string Text(Random random)
    {
        string text = string.Concat(Enumerable.Range(0, random.Next(1, 8)).Select(_ => Pieces[random.Next(Pieces.Length)]));
        return string.IsNullOrWhiteSpace(text) ? text + "x" : text;
    }
}
