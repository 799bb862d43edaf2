using System.Globalization;
using Hone.Formats.Models;
using Hone.Training.Model;

namespace Hone.Training.Tests.Model;

[CollectionDefinition(nameof(LoadMemoryTests), DisableParallelization = true)]
[Collection(nameof(LoadMemoryTests))]
public sealed class LoadMemoryTests
{
    /// <summary>The process's own memory; the mapped file's pages are the system's, which takes them back when it wants.</summary>
    [Theory]
    [Trait("Category", "Slow")]
    [InlineData("float32", 1.1)]
    [InlineData("as_stored", 0.1)]
    [InlineData("bfloat16", 0.75)] // the embedding stays float32
    [InlineData("nf4", 0.17)]      // less than the file's own size, 0.18
    public void Load_EmbeddedBase_TakesTheWeightsSizeAndNoMore(string precision, double share)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        using BaseModel model = BaseModel.Open(Reference.EmbeddedBase);
        TinyModel.Llama().Dispose(); // the native library takes its own memory once
        long before = OwnBytes();
        using Decoder decoder = DecoderLoader.Load(model.Weights, BasePrecision.Of(precision));
        Assert.InRange(OwnBytes() - before, long.MinValue, (long)(share * model.Parameters * sizeof(float)));

        static long OwnBytes() => 1024 * long.Parse(
            File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssAnon:", StringComparison.Ordinal)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}
