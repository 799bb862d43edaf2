using Hone.Core.Finetunes;

namespace Hone.Core.Tests.Finetunes;

public sealed class FinetuneRulesTests
{
    [Theory]
    [InlineData("a")]
    [InlineData("support triage v2")]
    [InlineData("Größe/ñ:日本語")]
    [InlineData("👩‍🚀 family ❤️")]
    public void CheckName_Printable_Accepted(string name) => Assert.Empty(FinetuneRules.CheckName(name, new HoneLimits()));

    [Fact]
    public void CheckName_Longest_AcceptedAndOneMoreNot()
    {
        Assert.Empty(FinetuneRules.CheckName(string.Concat(Enumerable.Repeat("😀", 128)), new HoneLimits()));
        Assert.Contains("129 characters; 128", Assert.Single(FinetuneRules.CheckName(new string('x', 129), new HoneLimits())).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, "required")]
    [InlineData("", "required")]
    [InlineData("   ", "white space")]
    [InlineData(" a", "white space")]
    [InlineData("a\0b", "U+0000")]
    [InlineData("a\nb", "U+000A")]
    [InlineData("a\u007f", "U+007F")]
    [InlineData("a\u202eb", "U+202E")]
    [InlineData("cf-public-x", "reserved")]
    [InlineData("CF-Public-x", "reserved")]
    public void CheckName_Bad_SaysWhy(string? name, string why) => Assert.Contains(why, Assert.Single(FinetuneRules.CheckName(name, new HoneLimits())).Message, StringComparison.Ordinal);

    [Fact]
    public void CheckName_HalfASurrogatePair_SaysWhy() =>
        Assert.Contains("U+D800", Assert.Single(FinetuneRules.CheckName("a" + (char)0xD800, new HoneLimits())).Message, StringComparison.Ordinal);

    [Fact]
    public void States_Table_OneRowAStateAndOnlyThree_Final()
    {
        Assert.Equal(Enum.GetValues<FinetuneState>(), FinetuneStates.All);
        Assert.All(FinetuneStates.All, s => Assert.Equal(s, FinetuneStates.Parse(s.Name())));
        Assert.Equal([FinetuneState.Ready, FinetuneState.Failed, FinetuneState.Cancelled], FinetuneStates.All.Where(s => s.IsFinal()));
        // From every state some final one can be reached.
        Assert.All(FinetuneStates.All, s => Assert.True(s.IsFinal() || s.Next().Any(n => n.IsFinal() || n.Next().Any(m => m.IsFinal() || m.Next().Count > 0))));
    }

    [Fact]
    public void MoveTo_NotInTheTable_Throws()
    {
        var finetune = new Finetune { Id = Guid.NewGuid(), AccountId = "a", Name = "n", Model = "m", CreatedAt = default, ModifiedAt = default };
        Assert.Throws<InvalidOperationException>(() => finetune.MoveTo(FinetuneState.Running, default));
        finetune.MoveTo(FinetuneState.Ready, DateTimeOffset.UnixEpoch);
        Assert.Equal(DateTimeOffset.UnixEpoch, finetune.FinalizedAt);
        Assert.Throws<InvalidOperationException>(() => finetune.MoveTo(FinetuneState.Cancelled, default));
    }

    [Theory]
    [InlineData(nameof(HoneLimits.FinetunesPerAccount))]
    [InlineData(nameof(HoneLimits.JobAttempts))]
    public void Options_OutOfRange_NamedAtStart(string limit)
    {
        HoneLimits limits = limit == nameof(HoneLimits.JobAttempts) ? new() { JobAttempts = 0 } : new() { FinetunesPerAccount = 0 };
        var refused = Assert.Throws<System.ComponentModel.DataAnnotations.ValidationException>(() => new HoneCoreOptions { DataFolder = "x", Limits = limits }.Validate());
        Assert.Contains(limit, refused.Message, StringComparison.Ordinal);
        new HoneCoreOptions { DataFolder = "x" }.Validate();
    }
}
