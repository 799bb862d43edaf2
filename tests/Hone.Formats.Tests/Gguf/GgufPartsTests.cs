using Hone.Formats.Gguf;
using Hone.Formats.Models;
using Hone.Formats.Tests.Models;

namespace Hone.Formats.Tests.Gguf;

public sealed class GgufPartsTests : IDisposable
{
    private const string First = "tiny-00001-of-00002.gguf", Second = "tiny-00002-of-00002.gguf";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Open_FirstOfTwoParts_IsTheWholeModel()
    {
        string whole = _folder.Write("whole.gguf", GgufBuilder.TinyLlama().Build()), first = Write(), second = _folder.File(Second);
        using (ModelWeights expected = ModelWeights.Open(whole), model = ModelWeights.Open(first))
        {
            Assert.Equal(expected.Config, model.Config);
            foreach (NamedShape tensor in expected.Tensors)
                Assert.Equal(ModelWeightsTests.Values(expected, tensor), ModelWeightsTests.Values(model, tensor));
        }
        using (BaseModel model = BaseModel.Open(first))
            Assert.Equal("Tiny", model.Name);
        Assert.Equal([first, second], ModelFiles.Of(first));
        Assert.Equal(new FileInfo(first).Length + new FileInfo(second).Length, ModelFiles.Stamp(first).Size);
        Assert.Equal("tiny", ModelFiles.NameOf(first));
        Assert.Equal([false, true, false], new[] { first, second, whole }.Select(ModelFiles.IsLaterPart));

        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        string hash = await ModelFiles.HashAsync(first, cancellationToken);
        File.Delete(second);
        Assert.NotEqual(hash, await ModelFiles.HashAsync(first, cancellationToken));
    }

    [Fact]
    public void Open_WhatIsNoWholeModel_SaysWhatIsMissing()
    {
        string first = Write(), second = _folder.File(Second);
        Assert.Contains("part 2 of 2 of a model. Name the first part, …-00001-of-00002.gguf", Refused(second), StringComparison.Ordinal);
        File.Move(first, _folder.File("renamed.gguf"));
        Assert.Contains("split into 2 files, which are found by names that end with -00001-of-00002.gguf", Refused(_folder.File("renamed.gguf")), StringComparison.Ordinal);
        Write(number: 2);
        Assert.Contains("by its name it is part 2 of 2 of a model, but its keys split.no and split.count say 2 and 2", Refused(first), StringComparison.Ordinal);
        Write(count: 12);
        Assert.Contains("files have 11 tensors, but its key split.tensors.count is 12", Refused(first), StringComparison.Ordinal);
        Write(again: "output_norm.weight");
        Assert.Contains("'output_norm.weight' is in another part of the model too", Refused(first), StringComparison.Ordinal);
        File.Delete(second);
        Assert.Contains($"split into 2 files, and {second} is not there", Refused(first), StringComparison.Ordinal);
    }

    private string Write(int number = 1, int count = 11, string? again = null)
    {
        GgufBuilder first = Numbered(GgufBuilder.TinyLlama(), 0, count).Without("blk.0.ffn_up.weight");
        GgufBuilder second = Numbered(new GgufBuilder(), number, count).Tensor("blk.0.ffn_up.weight", GgmlType.F16, 64, 32).Tensor("output_norm.weight", GgmlType.F32, 32);
        _folder.Write(Second, second.Build());
        return _folder.Write(First, (again is null ? first.Without("output_norm.weight") : first).Build());
    }

    private static GgufBuilder Numbered(GgufBuilder builder, int number, int count) => builder.Set("split.no", (uint)number).Set("split.count", 2u).Set("split.tensors.count", count);

    private static string Refused(string path) => Assert.Throws<InvalidFileException>(() => ModelWeights.Open(path)).Message;
}
