using System.Text.Json;
using Hone.Formats.Inference;
using Hone.Training.Generation;

namespace Hone.Training.Tests.Generation;

/// <summary>The embedded base's answers through template, tokenizer, cache and sampler: the reference's text, token for token.</summary>
[Trait("Category", "Reference")]
[Trait("Category", "Slow")]
public sealed class SmolLm2GreedyTests(EmbeddedBaseFixture fixture) : IClassFixture<EmbeddedBaseFixture>
{
    [Fact]
    public void Complete_Questions_EqualReference()
    {
        foreach (string path in Reference.Existing("smollm2/greedy.json"))
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement[] cases = [.. json.RootElement.EnumerateArray()];
            GenerationStream[] streams = [.. cases.Select(Start)];
            // All in one batch: companions change nothing.
            while (streams.Any(s => !s.Finished))
                Generator.Pass(fixture.Decoder, [.. streams.Where(s => !s.Finished)]);
            foreach ((JsonElement expected, GenerationStream stream) in cases.Zip(streams))
            {
                Assert.Equal(expected.GetProperty("prompt_ids").EnumerateArray().Select(i => i.GetInt32()), stream.Prompt);
                string text = expected.GetProperty("text").GetString()!.Replace("<|im_end|>", "", StringComparison.Ordinal);
                string actual = Generator.TextOf(stream);
                Assert.True(text == actual, $"{expected.GetProperty("question")}: '{actual}' instead of '{text}', smallest margin {expected.GetProperty("margin").EnumerateArray().Min(m => m.GetDouble())}");
                stream.Dispose();
            }
        }

        GenerationStream Start(JsonElement question)
        {
            var request = new GenerateRequest { Prompt = question.GetProperty("question").GetString(), MaxTokens = 48 };
            return new GenerationStream(fixture.Model, request, PromptEncoder.Encode(fixture.Model, request, CancellationToken.None), null, CancellationToken.None);
        }
    }
}
