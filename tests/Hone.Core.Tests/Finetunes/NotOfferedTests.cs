using Hone.Formats.Jobs;

namespace Hone.Core.Tests.Finetunes;

public sealed class NotOfferedTests
{
    [Fact]
    public void NotOffered_WhatTheTrainerCannotDo_IsNamed()
    {
        Assert.Empty(new TrainingConfig { Method = "dpo", UseRslora = true, UseDora = true, Precision = "float32" }.NotOffered());
        foreach (string precision in new[] { "as_stored", "bfloat16", "nf4", "fp4" })
            Assert.Empty(new TrainingConfig { Precision = precision }.NotOffered());
        Assert.Single(new TrainingConfig { Precision = "float16" }.NotOffered());
    }
}
